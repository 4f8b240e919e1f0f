//! Other settings for a fleet that serves: who comes, who goes, and who is not touched.

use signalbox_engine::{EngineError, ExpertStatus, Fleet, FleetSettings};

use crate::support::{ask, chat, copy, endless, ramble, read, settings, toy, until};

fn apply(fleet: &Fleet, settings: &FleetSettings) -> signalbox_engine::FleetChange {
    fleet.plan(settings.clone()).map_err(|unfit| unfit[0].to_string()).unwrap().apply()
}

/// What must not change of an expert that is not touched.
fn identity(status: &ExpertStatus) -> (Option<usize>, u64, u64) {
    (status.weights_address, status.load_count, status.requests_total)
}

#[tokio::test]
async fn experts_come_and_go_and_the_others_stay() {
    let mut settings = settings(&["phi4_fast", "qwen_coder"]);
    let fleet = Fleet::start(settings.clone());
    for id in ["phi4_fast", "qwen_coder"] {
        ask(&fleet, id, chat("Hello")).await.unwrap();
    }
    let before = identity(&fleet.status("phi4_fast").unwrap());
    assert!(before.0.is_some());

    settings.experts[0].priority = 7;
    settings.experts[1] = toy("mistral_balanced");
    let change = apply(&fleet, &settings);
    assert_eq!(change.described, ["phi4_fast"]);
    assert_eq!(
        (change.added, change.removed),
        (vec!["mistral_balanced".into()], vec!["qwen_coder".into()])
    );
    let phi = fleet.status("phi4_fast").unwrap();
    assert_eq!((identity(&phi), phi.priority), (before, 7));
    ask(&fleet, "mistral_balanced", chat("Hello")).await.unwrap();
    let gone = ask(&fleet, "qwen_coder", chat("Hello")).await.unwrap_err();
    assert_eq!(gone, EngineError::UnknownExpert { expert: "qwen_coder".into() });
    let two = fleet.menu().len();
    assert_eq!(two, 2);

    let change = apply(&fleet, &settings);
    assert_eq!(change.unchanged, ["phi4_fast", "mistral_balanced"]);
    assert_eq!(identity(&fleet.status("phi4_fast").unwrap()), before);
}

#[tokio::test]
async fn a_running_reply_ends_on_the_expert_that_it_began_with() {
    let (_folders, mut settings) = endless(&["phi4_fast", "qwen_coder"]);
    let fleet = Fleet::start(settings.clone());
    let mut running = fleet.generate("phi4_fast", ramble(300)).await.unwrap();
    running.next().await.unwrap();
    let all = fleet.memory().reserved_bytes;
    let old = fleet.status("phi4_fast").unwrap();

    settings.experts[0].max_num_seqs = 2;
    assert_eq!(apply(&fleet, &settings).replaced, ["phi4_fast"]);
    until("the new one is loaded", || fleet.status("phi4_fast").unwrap().load_count == 1).await;
    let new = fleet.status("phi4_fast").unwrap();
    assert_ne!(new.weights_address, old.weights_address);
    assert_eq!((new.requests_total, new.queue_depth), (0, 0));
    ask(&fleet, "phi4_fast", ramble(3)).await.unwrap();
    assert_eq!(read(running).await.unwrap().usage.completion_tokens, 300);
    let after = fleet.status("phi4_fast").unwrap();
    assert_eq!(after.weights_address, new.weights_address);
    until("the old one has left", || fleet.memory().reserved_bytes <= all).await;

    settings.experts.remove(0);
    assert_eq!(apply(&fleet, &settings).removed, ["phi4_fast"]);
    until("its memory is free", || fleet.memory().reserved_bytes == 0).await;
}

#[tokio::test]
async fn the_successor_waits_for_the_memory_of_the_one_that_drains() {
    for lazily in [true, false] {
        let (_folders, mut settings) = endless(&["phi4_fast"]);
        settings.lazy_loading.enabled = lazily;
        let fleet = Fleet::start(settings.clone());
        fleet.load("phi4_fast").await.unwrap();
        settings.memory_bytes_max = fleet.memory().reserved_bytes * 3 / 2;
        assert_eq!(apply(&fleet, &settings).shared, ["memory"]);

        let mut running = fleet.generate("phi4_fast", ramble(400)).await.unwrap();
        running.next().await.unwrap();
        settings.experts[0].prompt_lookup = false;
        apply(&fleet, &settings);
        let (new, old) = tokio::join!(ask(&fleet, "phi4_fast", ramble(3)), read(running));
        assert_eq!(old.unwrap().usage.completion_tokens, 400, "lazily: {lazily}");
        assert_eq!(new.unwrap().usage.completion_tokens, 3, "lazily: {lazily}");
    }
}

#[tokio::test]
async fn settings_that_no_expert_can_be_served_with_change_nothing() {
    let mut settings = settings(&["phi4_fast"]);
    let fleet = Fleet::start(settings.clone());
    ask(&fleet, "phi4_fast", chat("Hello")).await.unwrap();
    let before = identity(&fleet.status("phi4_fast").unwrap());
    settings.experts[0].path = "/nowhere".into();
    settings.limits.queue_max = 1;
    let unfit = fleet.plan(settings).map(|_| ()).unwrap_err();
    assert_eq!(unfit[0].expert, "phi4_fast");
    assert_eq!(identity(&fleet.status("phi4_fast").unwrap()), before);
    assert!(
        fleet.limits().iter().any(|(limit, value)| limit.name == "queue_max" && *value == 4096)
    );
}

#[tokio::test]
async fn an_expert_that_was_mended_is_served_after_a_reload() {
    let folder = copy("phi4_fast");
    let (file, aside) = (folder.path().join("config.json"), folder.path().join("aside"));
    std::fs::rename(&file, &aside).unwrap();
    let mut settings = settings(&["phi4_fast"]);
    settings.experts[0].path = folder.path().into();
    let fleet = Fleet::start(settings.clone());
    assert!(ask(&fleet, "phi4_fast", chat("Hello")).await.is_err());
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(apply(&fleet, &settings).unchanged, ["phi4_fast"]);
    ask(&fleet, "phi4_fast", chat("Hello")).await.unwrap();
}

/// Places are given to others, so a host that is reloaded for years does not grow.
#[tokio::test]
async fn many_reloads_leave_nothing_behind() {
    let mut settings = settings(&["phi4_fast", "qwen_coder"]);
    let fleet = Fleet::start(settings.clone());
    for round in 1..12 {
        ask(&fleet, "phi4_fast", chat("Hello")).await.unwrap();
        settings.experts[0].max_num_seqs = round;
        apply(&fleet, &settings);
    }
    until("one of them is in memory", || fleet.status("phi4_fast").unwrap().load_count == 1).await;
    let reserved = fleet.memory().reserved_bytes;
    fleet.unload("phi4_fast").await.unwrap();
    assert!(reserved > 0);
    until("nothing is reserved", || fleet.memory().reserved_bytes == 0).await;
}
