//! Scheduler without WebAssembly: who has them, and whose time they are.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use super::*;

/// More than anybody here needs.
const AMPLE: Duration = Duration::from_secs(60);

fn budget(own: Duration, wall: Duration) -> Budget {
    Budget { own, wall }
}

/// One thread for guests, and the runtime of its host.
fn one() -> (Scheduler, Runtime) {
    let host = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    (Scheduler::start(1, host.handle()).unwrap(), host)
}

/// Uses up CPU time for one slice.
fn slice() {
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
}

#[test]
fn what_a_guest_took_is_known_when_its_outcome_is() {
    let (turns, host) = one();
    for _ in 0..50 {
        let own = Arc::default();
        let run = turns.run(1, &own, budget(AMPLE, AMPLE), First::Queued, async { slice() });
        host.block_on(run).unwrap();
        assert!(own.spent() > Duration::ZERO);
    }
}

#[test]
fn one_policys_loops_leave_every_second_turn_to_another() {
    let (turns, host) = one();
    let took = Arc::new(Mutex::new(String::new()));
    let turn = |took: &Arc<Mutex<String>>, lane| {
        slice();
        took.lock().unwrap().push(lane);
    };
    let (turns, log) = (Arc::new(turns), took.clone());
    for _ in 0..40 {
        let (turns, took) = (turns.clone(), took.clone());
        host.spawn(async move {
            let own = Arc::default();
            let looping = async move {
                loop {
                    turn(&took, 'a');
                    give_way().await;
                }
            };
            let run = turns.run(1, &own, budget(AMPLE, AMPLE), First::Queued, looping);
            let _: Result<(), Late> = run.await;
        });
    }
    host.block_on(async {
        while took.lock().unwrap().len() < 50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let own = Arc::default();
        let short = async move {
            for _ in 0..5 {
                turn(&took, 'b');
                give_way().await;
            }
        };
        turns.run(2, &own, budget(AMPLE, AMPLE), First::Queued, short).await.unwrap();
    });
    let log = log.lock().unwrap().clone();
    let first = log.find('b').unwrap();
    assert!(log[first..].starts_with("babababab"), "{}", &log[first..]);
}

#[test]
fn a_turn_waited_for_is_not_the_guests_time() {
    let (turns, host) = one();
    let (own, wall) = (Duration::from_millis(100), AMPLE);
    let working = |own_time: &Arc<OwnTime>| {
        let own_time = own_time.clone();
        async move {
            while own_time.spent_in_turn() < Duration::from_millis(20) {
                slice();
                give_way().await;
            }
        }
    };
    let turns = Arc::new(turns);
    let calls = (0..10).map(|_| {
        let turns = turns.clone();
        async move {
            let own_time = Arc::default();
            let work = working(&own_time);
            turns.run(1, &own_time, budget(own, wall), First::Queued, work).await
        }
    });
    host.block_on(async move {
        let mut running: tokio::task::JoinSet<_> = calls.collect();
        let began = Instant::now();
        while let Some(ended) = running.join_next().await {
            assert_eq!(ended.unwrap(), Ok(()));
        }
        assert!(began.elapsed() >= own, "each waited for longer than it may run");
    });
}

#[test]
fn sleep_is_the_guests_own_and_what_the_host_does_is_not() {
    let (turns, host) = one();
    let short = Duration::from_millis(50);
    let check = |body: Box<dyn Fn(Arc<OwnTime>) -> Pending>, budget, expect| {
        let own = Arc::default();
        let run = turns.run(1, &own, budget, First::Queued, body(own.clone()));
        assert_eq!(host.block_on(run), Err(expect));
    };
    type Pending = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    let asleep = || Box::new(|_| Box::pin(async { tokio::time::sleep(AMPLE).await }) as Pending);
    check(asleep(), budget(short, AMPLE), Late::Guest);
    check(asleep(), budget(AMPLE, short), Late::Host);
    let hosted = |own: Arc<OwnTime>| {
        Box::pin(async move { own.with_host(tokio::time::sleep(AMPLE)).await }) as Pending
    };
    check(Box::new(hosted), budget(short, 4 * short), Late::Host);
    let crash = |_| Box::pin(async { assert!(check_fails(), "a bug of the host") }) as Pending;
    check(Box::new(crash), budget(AMPLE, AMPLE), Late::Crashed);
}

fn check_fails() -> bool {
    false
}

#[test]
fn work_that_nobody_waits_for_is_dropped() {
    let (turns, host) = one();
    let held = Arc::new(());
    let own = Arc::default();
    host.block_on(async {
        let holding = held.clone();
        let forever = async move {
            std::future::pending::<()>().await;
            drop(holding);
        };
        let run = turns.run(1, &own, budget(AMPLE, AMPLE), First::Queued, forever);
        assert!(tokio::time::timeout(Duration::from_millis(20), run).await.is_err());
        while Arc::strong_count(&held) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_first_turn_here_is_the_callers_and_all_others_are_the_guests() {
    let (turns, host) = one();
    let own = Arc::default();
    let threads = async {
        let first = std::thread::current().id();
        give_way().await;
        [first, std::thread::current().id()]
    };
    let run = turns.run(1, &own, budget(AMPLE, AMPLE), First::Here, threads);
    let [first, second] = host.block_on(run).unwrap();
    let here = std::thread::current().id();
    assert!(first == here && second != here);
}
