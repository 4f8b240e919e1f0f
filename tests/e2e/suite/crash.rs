//! Power cuts: whatever the registry was doing when the process died, it is whole afterwards.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use crate::host::{Host, example};

/// Kill at this many different moments after an operation began.
const MOMENTS: u64 = 6;

/// A component like `round-robin` but with other bytes, so that each upload is a new revision.
fn variant(number: u64) -> Vec<u8> {
    let mut component = example("round-robin").to_vec();
    let name = format!("variant-{number}");
    let size = u8::try_from(name.len() + 1).unwrap();
    // A custom section: id 0, section size, name length, name. Runtimes skip it.
    component.extend([0, size, size - 1]);
    component.extend(name.as_bytes());
    component
}

#[test]
fn a_kill_during_uploads_and_activations_leaves_a_whole_registry() {
    let mut host = Host::start();
    let first = host.deploy("swapped", &variant(0));
    let mut known = BTreeSet::from([first]);
    for moment in 1..=MOMENTS {
        known.extend(
            host.upload("swapped", &variant(1000 + moment)).ok()["revision"]
                .as_str()
                .map(str::to_owned),
        );
        thread::scope(|scope| {
            let (host, known) = (&host, &known);
            // Each thread ends with a torn connection when the process dies: that is the point.
            scope.spawn(move || {
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    for n in 0.. {
                        host.upload("swapped", &variant(moment * 100 + n));
                    }
                }));
            });
            scope.spawn(move || {
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    for revision in known.iter().cycle() {
                        host.activate("swapped", revision);
                    }
                }));
            });
            thread::sleep(Duration::from_millis(60 + 37 * moment));
            host.kill();
        });
        host = host.restart();
        known = assert_whole(&host);
    }
}

/// Everything listed exists, nothing else does, and the active policy works.
fn assert_whole(host: &Host) -> BTreeSet<String> {
    let policy = host.admin_get("/policies/swapped");
    let revisions: BTreeSet<String> = policy["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["revision"].as_str().unwrap().to_owned())
        .collect();
    assert!(revisions.contains(policy["active"].as_str().unwrap()), "{policy}");
    let route = host.chat("auto", "Hello!");
    assert!(route.header("x-signalbox-route").starts_with("swapped@"));
    assert_eq!(host.admin_get("/pipeline")["route"]["name"], "swapped");
    let strays: Vec<_> = fs::read_dir(host.policies_dir())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("tmp") || name.contains("broken"))
        .collect();
    assert!(strays.is_empty(), "left behind: {strays:?}");
    revisions
}
