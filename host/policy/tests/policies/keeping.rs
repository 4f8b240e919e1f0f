//! What a policy keeps from one call to the next, and who sees it.

use std::{fs, sync::Arc, time::Duration};

use signalbox_policy::{Hook, NewImports, Policies, Provenance, RecordedCall};

use crate::scene::{Scene, Still, configured, guest, menu, says, settings, until, variant};

/// As often as the guest was called in earnest, it was called once more now.
async fn check_count(scene: &Scene, expect: u64) {
    assert_eq!(scene.reason("count").await, expect.to_string());
}

#[tokio::test]
async fn what_a_policy_keeps_outlives_its_revisions_and_the_host_and_goes_with_it() {
    let scene = Scene::new(|_| {}).await;
    check_count(&scene, 1).await;
    scene.put("guest", &variant(1)).await;
    check_count(&scene, 2).await;
    assert_eq!(scene.reason("swap").await, "swapped");
    let Scene { policies, folder } = scene;
    drop(policies);
    let mut settings = settings(folder.path());
    settings.limits.history = 1; // so that a rollback brings nothing back
    let policies = Policies::open(settings, Arc::new(Still)).unwrap();
    let scene = Scene { policies, folder };
    check_count(&scene, 3).await;
    let bucket = scene.policies.show("guest").unwrap().bucket.unwrap();
    assert_eq!((bucket.entries, bucket.bytes, bucket.problem), (2, 6 + 7, None));
    let stored = || fs::exists(scene.folder.path().join("buckets/guest.bucket")).unwrap();
    assert!(stored());
    scene.policies.deactivate("guest").unwrap();
    scene.put("router", guest()).await;
    assert_eq!(scene.reason("peek").await, "no bucket", "it asks for the one of 'guest'");
    for revision in scene.policies.show("guest").unwrap().revisions {
        scene.policies.remove_revision("guest", &revision.revision).unwrap();
    }
    assert!(!stored());
}

#[tokio::test]
async fn a_policy_opens_its_own_bucket_and_no_other() {
    let scene = Scene::new(|_| {}).await;
    assert_eq!(scene.reason("peek").await, "[false, false, true] Some([])");
}

#[tokio::test]
async fn a_full_bucket_is_said_to_the_guest_and_counted_and_the_call_goes_on() {
    let scene = Scene::new(|settings| {
        settings.limits.bucket_bytes = 10_000;
        settings.limits.bucket_entries = 5;
    })
    .await;
    let full = "the bucket may have 5 entries; delete some";
    assert_eq!(scene.reason("fill").await, full);
    let bucket = scene.policies.show("guest").unwrap().bucket.unwrap();
    assert_eq!((bucket.entries, bucket.refused), (5, 1));
    let scene = Scene::new(|settings| settings.limits.bucket_bytes = 10_000).await;
    let full = "the bucket may have 10000 bytes of keys and values; delete some";
    assert_eq!(scene.reason("fill").await, full);
}

#[tokio::test]
async fn who_is_only_tried_changes_nothing_that_others_see() {
    let scene = Scene::new(|settings| configured(settings, "guest", "count", "always")).await;
    check_count(&scene, 1).await; // the probe of the upload counted for itself
    let candidate = scene.upload("guest", &variant(1)).await;
    scene.policies.shadow("guest", &candidate, NewImports::Refused).unwrap();
    check_count(&scene, 2).await;
    let compared = || {
        let shadow = scene.policies.show("guest").unwrap().shadow.unwrap();
        shadow.hooks.get(&Hook::Route).map_or(0, |seen| seen.compared)
    };
    until(|| compared() == 1).await;
    let recorded = RecordedCall { call: says("count twice"), routed: None, menu: menu() };
    let within = Duration::from_secs(60);
    let (candidate, provenance) = (variant(2).into(), Provenance::Outside(None));
    let replayed = scene.policies.replay("guest", candidate, provenance, vec![recorded], within);
    let replayed = replayed.await;
    let seen = &replayed.unwrap().hooks[&Hook::Route];
    assert_eq!((seen.compared, seen.failures.len()), (1, 0), "{seen:?}");
    scene.policies.end_shadow("guest").unwrap();
    check_count(&scene, 3).await;
}
