//! What is refused at upload, why, and that nothing of it stays.

use std::{fs, path::Path};

use signalbox_policy::{NewImports, PolicyError, Provenance};

use crate::scene::{Scene, configured, guest};

async fn refused(scene: &Scene, name: &str, bytes: &[u8]) -> PolicyError {
    scene.policies.upload(name, bytes.to_vec().into(), Provenance::Outside(None)).await.unwrap_err()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing_and_the_active_revision_alone() {
    let scene = Scene::new(|_| {}).await;
    let components = scene.folder.path().join("components");
    let before = (files(&components), scene.policies.list(), scene.policies.pipeline());
    let foreign =
        wat::parse_str(r#"(component (import "wasi:http/incoming-handler@0.2.4" (instance)))"#);
    let uploads: [(&[u8], &str); 5] = [
        (b"", "upload_empty"),
        (b"\0asm\x01\0\0\0", "upload_core_module"),
        (b"not wasm at all", "upload_not_a_component"),
        (&guest()[..guest().len() / 2], "upload_malformed"),
        (&foreign.unwrap(), "upload_import_not_offered"),
    ];
    for (bytes, code) in uploads {
        let error = refused(&scene, "guest", bytes).await;
        assert_eq!(error.code(), code, "{error}");
    }
    let after = (files(&components), scene.policies.list(), scene.policies.pipeline());
    assert_eq!(after, before);
    assert_eq!(scene.reason("hello").await, "5 bytes");
}

#[tokio::test]
async fn a_component_that_claims_a_hook_of_another_shape_is_refused() {
    let scene = Scene::empty(|_| {});
    let wrong = wat::parse_str(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $route (export "choose" (func $f)))
            (export "signalbox:policy/route@0.2.0" (instance $route)))"#,
    );
    let error = refused(&scene, "wrong", &wrong.unwrap()).await;
    assert_eq!(error.code(), "upload_probe_failed", "{error}");
    assert!(scene.policies.list().is_empty());
}

#[tokio::test]
async fn a_policy_that_fails_on_recorded_calls_is_refused_with_its_last_words() {
    for (behave, message) in [("panic", "boom"), ("spin", "within 300 ms"), ("eat", "of memory")] {
        let scene = Scene::empty(|settings| configured(settings, "bad", "behave", behave));
        let error = refused(&scene, "bad", guest()).await;
        assert_eq!(error.code(), "upload_probe_failed");
        let text = error.to_string();
        assert!(text.contains("tried on a short question, its pre hook failed"), "{text}");
        assert!(text.contains(message), "{text}");
    }
}

#[tokio::test]
async fn names_are_checked() {
    let scene = Scene::empty(|_| {});
    for name in ["", "Upper", "-dash", "a/b", "..", &"x".repeat(65)] {
        assert_eq!(refused(&scene, name, guest()).await.code(), "policy_name_invalid", "{name}");
    }
}

#[tokio::test]
async fn an_upload_reports_what_it_is() {
    let scene = Scene::empty(|_| {});
    let bytes = guest().to_vec();
    let first = scene
        .policies
        .upload("guest", bytes.clone().into(), Provenance::Outside(None))
        .await
        .unwrap();
    assert_eq!((first.bytes, first.revision.len()), (bytes.len() as u64, 64));
    assert!(!first.already_known && first.imports_gained == first.imports);
    scene.policies.activate("guest", &first.revision, NewImports::Refused).unwrap();
    let again =
        scene.policies.upload("guest", bytes.into(), Provenance::Outside(None)).await.unwrap();
    assert!(again.already_known && again.imports_gained.is_empty());
    assert_eq!(scene.policies.show("guest").unwrap().revisions.len(), 1);
}

#[tokio::test]
async fn too_many_policies_are_refused() {
    let scene = Scene::empty(|settings| settings.limits.policies = 1);
    scene.upload("one", guest()).await;
    assert_eq!(refused(&scene, "two", guest()).await.code(), "too_many_policies");
}

#[tokio::test]
async fn uploads_that_would_wait_too_long_are_turned_away() {
    let scene = Scene::empty(|settings| settings.limits.upload_queue = 1);
    let upload =
        || scene.policies.upload("guest", guest().to_vec().into(), Provenance::Outside(None));
    let outcomes = tokio::join!(upload(), upload(), upload(), upload());
    let codes = [outcomes.0, outcomes.1, outcomes.2, outcomes.3]
        .map(|outcome| outcome.err().map(|error| error.code().to_string()));
    assert!(codes.contains(&None) && codes.contains(&Some("uploads_busy".into())), "{codes:?}");
}
