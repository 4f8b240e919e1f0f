//! What the registry keeps: activations, rollbacks, restarts, crashes, and swaps under load.

use std::{fs, sync::Arc, time::Duration};

use signalbox_policy::{Blame, Cause, NewImports, Pipeline, Policies, PolicyError};

use crate::scene::{Scene, Still, guest, menu, says, settings, until, variant};

/// The process ends; a new one opens the same folder.
fn restart(scene: Scene) -> Scene {
    let Scene { policies, folder } = scene;
    drop(policies);
    let policies = Policies::open(settings(folder.path()), Arc::new(Still)).unwrap();
    Scene { policies, folder }
}

#[tokio::test]
async fn a_restart_comes_back_to_the_same_state() {
    let scene = Scene::new(|_| {}).await;
    scene.put("other", &variant(1)).await;
    let (list, history) = (scene.policies.list(), scene.policies.history());
    let scene = restart(scene);
    assert_eq!(scene.policies.list(), list);
    assert_eq!(scene.policies.history(), history);
    assert_eq!(scene.policies.pipeline().policies.route.unwrap().name, "other");
    assert_eq!(scene.reason("hello").await, "5 bytes");
}

#[tokio::test]
async fn a_rollback_brings_the_router_back() {
    let scene = Scene::empty(|_| {});
    let first = scene.put("guest", guest()).await;
    let second = scene.put("guest", &variant(1)).await;
    assert_eq!(scene.active("guest"), Some(second));
    let activation = scene.policies.rollback(Some("guest")).unwrap();
    assert_eq!((activation.cause, activation.undoes), (Cause::Rollback, Some(2)));
    assert_eq!(scene.active("guest"), Some(first.clone()));
    let none_left = scene.policies.rollback(None).unwrap_err();
    assert!(matches!(none_left, PolicyError::RollbackUnclear { .. }), "{none_left:?}");
    assert_eq!(scene.active("guest"), Some(first));
}

#[tokio::test]
async fn where_nothing_was_changed_there_is_nothing_to_roll_back() {
    let scene = Scene::empty(|_| {});
    assert_eq!(scene.policies.rollback(None), Err(PolicyError::NothingToRollBack));
}

#[tokio::test]
async fn a_revision_of_an_earlier_process_is_compiled_when_it_is_wanted() {
    let scene = Scene::empty(|_| {});
    let revisions = [
        scene.put("guest", guest()).await,
        scene.put("guest", &variant(1)).await,
        scene.put("guest", &variant(2)).await,
    ];
    let scene = restart(scene);
    scene.policies.activate("guest", &revisions[0], NewImports::Refused).unwrap();
    assert_eq!(scene.reason("hello").await, "5 bytes");
}

#[tokio::test]
async fn a_damaged_component_gives_way_to_the_last_good_one() {
    let scene = Scene::empty(|_| {});
    let good = scene.put("guest", guest()).await;
    let bad = scene.put("guest", &variant(1)).await;
    fs::write(scene.folder.path().join(format!("components/{bad}.wasm")), b"zap").unwrap();
    let scene = restart(scene);
    let status = scene.policies.show("guest").unwrap();
    assert_eq!((status.active.as_ref(), status.requested.as_ref()), (Some(&good), Some(&bad)));
    assert!(status.problem.unwrap().contains("is damaged"));
    assert_eq!(scene.reason("hello").await, "5 bytes");
    let error = scene.policies.activate("guest", &bad, NewImports::Refused).unwrap_err();
    assert_eq!(error.code(), "revision_unusable");
    assert_eq!(scene.active("guest"), Some(good));
    assert_eq!(scene.put("guest", &variant(1)).await, bad);
}

#[tokio::test]
async fn without_a_good_revision_a_damaged_one_keeps_its_place_and_refuses() {
    let scene = Scene::new(|_| {}).await;
    let revision = scene.active("guest").unwrap();
    let file = scene.folder.path().join(format!("components/{revision}.wasm"));
    fs::remove_file(&file).unwrap();
    let scene = restart(scene);
    assert_eq!(scene.active("guest"), Some(revision.clone()));
    let error = scene.route("hello").await.unwrap_err();
    assert_eq!((error.code(), error.blame()), ("policy_out_of_service", Blame::Host));
    let error = scene.policies.snapshot().pre(says("hello")).await.unwrap_err();
    assert_eq!(error.code(), "policy_out_of_service");
    let status = scene.policies.show("guest").unwrap();
    assert_eq!(status.out_of_service.len(), 3);
    assert!(status.out_of_service.iter().all(|out| out.refuses), "{status:?}");
    assert!(status.problem.unwrap().contains("No such file"));

    let error = scene.policies.activate("guest", &revision, NewImports::Refused).unwrap_err();
    assert_eq!(error.code(), "revision_unusable");
    scene.put("other", &variant(1)).await;
    let scene = restart(scene);
    assert_eq!(scene.active("guest"), Some(revision), "a restart examines it again");
    scene.upload("guest", guest()).await;
    assert!(file.exists());
    scene.policies.snapshot().pre(says("hello")).await.unwrap();
    assert!(scene.policies.out_of_service().is_empty());
}

#[tokio::test]
async fn an_unreadable_state_lets_no_call_through_until_an_operator_decides() {
    let scene = Scene::new(|_| {}).await;
    let revision = scene.active("guest").unwrap();
    let state = scene.folder.path().join("state.json");
    let whole = fs::read(&state).unwrap();
    fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    let scene = restart(scene);
    let refused = async |scene: &Scene| {
        let error = scene.policies.snapshot().pre(says("hello")).await.unwrap_err();
        assert_eq!((error.code(), error.blame()), ("policies_unreadable", Blame::Host));
        assert!(scene.policies.unreadable().unwrap().contains("state.json"));
    };
    refused(&scene).await;
    scene.put("guest", guest()).await;
    refused(&scene).await;
    assert_eq!(fs::read(&state).unwrap().len(), whole.len() / 2, "nothing is written over it");

    fs::write(&state, &whole).unwrap();
    let scene = restart(scene);
    assert_eq!(scene.reason("hello").await, "5 bytes", "a mended state is as it was");

    fs::write(&state, b"{}").unwrap();
    let scene = restart(scene);
    scene.put("guest", guest()).await;
    let guarded = Pipeline { pre: vec!["guest".into()], ..Pipeline::default() };
    scene.policies.set_pipeline(guarded.clone()).unwrap();
    assert_eq!(scene.policies.unreadable(), None);
    scene.policies.snapshot().pre(says("answer")).await.unwrap();
    assert!(scene.folder.path().join("state.json.broken-1").exists());
    let scene = restart(scene);
    assert_eq!(scene.active("guest"), Some(revision));
    assert_eq!(scene.policies.pipeline().policies.pre.len(), 1);
}

#[tokio::test]
async fn a_policy_whose_name_an_expert_took_stays_in_force_and_is_not_activated() {
    let scene = Scene::new(|_| {}).await;
    let revision = scene.active("guest").unwrap();
    let state = scene.folder.path().join("state.json");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, text.replace("\"guest\"", "\"expert_coding\"")).unwrap();
    let scene = restart(scene);
    assert_eq!(scene.active("expert_coding").as_ref(), Some(&revision));
    assert_eq!(scene.reason("hello").await, "5 bytes");
    let error =
        scene.policies.activate("expert_coding", &revision, NewImports::Refused).unwrap_err();
    assert_eq!(error.code(), "pipeline_invalid");
    assert!(error.to_string().contains("an expert has the name 'expert_coding'"), "{error}");
}

#[tokio::test]
async fn the_folder_is_locked() {
    let scene = Scene::empty(|_| {});
    let second = Policies::open(settings(scene.folder.path()), Arc::new(Still));
    assert!(matches!(second, Err(PolicyError::Locked { .. })));
}

#[tokio::test]
async fn the_pipeline_is_the_operators() {
    let scene = Scene::new(|_| {}).await;
    scene.put("other", &variant(1)).await;
    let order = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let wanted = Pipeline { pre: order(&["other", "guest"]), route: None, post: order(&["other"]) };
    scene.policies.set_pipeline(wanted).unwrap();
    let is = scene.policies.pipeline();
    let names = |policies: &[signalbox_policy::PolicyRef]| {
        policies.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&is.policies.pre), ["other", "guest"]);
    assert_eq!((is.policies.route, names(&is.policies.post)), (None, order(&["other"])));
    let nobody = Pipeline { route: Some("nobody".into()), ..Pipeline::default() };
    assert!(scene.policies.set_pipeline(nobody).is_err());
}

#[tokio::test]
async fn a_revision_in_use_stays_and_another_goes() {
    let scene = Scene::new(|_| {}).await;
    let staged = scene.upload("guest", &variant(1)).await;
    let active = scene.active("guest").unwrap();
    let error = scene.policies.remove_revision("guest", &active).unwrap_err();
    assert_eq!(error.code(), "revision_in_use");
    scene.policies.remove_revision("guest", &staged[..12]).unwrap();
    assert!(!scene.folder.path().join(format!("components/{staged}.wasm")).exists());
}

#[tokio::test]
async fn a_call_finishes_on_the_policies_it_began_with() {
    let scene = Scene::new(|_| {}).await;
    let snapshot = scene.policies.snapshot();
    let seats = snapshot.seats().unwrap();
    let mut reply = seats.post(&says("hello"), "expert_coding");
    assert_eq!(reply.push("held ".into(), Duration::ZERO).await.unwrap().text, "");
    let first = scene.active("guest").unwrap();
    let second = scene.put("guest", &variant(1)).await;
    let before = snapshot.route(&says("hello"), &menu()).await.unwrap().unwrap();
    let after = scene.route("hello").await.unwrap().unwrap();
    assert_eq!((before.policy.revision, after.policy.revision), (first, second));
    scene.policies.deactivate("guest").unwrap();
    assert_eq!(reply.push("text".into(), Duration::ZERO).await.unwrap().text, "held text");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_split_no_call() {
    let scene = Scene::empty(|_| {});
    let revisions = [scene.put("a", guest()).await, scene.put("b", &variant(1)).await];
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (policies, revisions) = (scene.policies.clone(), revisions.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                while policies.snapshot().generation() < 202 {
                    let snapshot = policies.snapshot();
                    let decision = snapshot.route(&says("hello"), &menu()).await.unwrap().unwrap();
                    assert_eq!(Some(&decision.policy), snapshot.router());
                    assert!(revisions.contains(&decision.policy.revision));
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let policies = scene.policies.clone();
    let swaps = tokio::task::spawn_blocking(move || {
        for turn in 0..200 {
            let name = ["a", "b"][turn % 2];
            policies.activate(name, &revisions[turn % 2], NewImports::Refused).unwrap();
        }
    });
    swaps.await.unwrap();
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
    until(|| scene.policies.pipeline().generation == 202).await;
}
