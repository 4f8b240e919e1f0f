//! A real child under real limits. The child is this test program itself: started with [`CHILD`] as
//! its only argument, it serves instead of testing (so it has no test harness).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use signalbox_confine::{Bounds, Failure, Program, Worker, serve};

const CHILD: &str = "child";
const MIB: u64 = 1 << 20;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CHILD) {
        return serve(work).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let tests: [(&str, fn()); 9] = [
        ("one answer after the other", answers),
        ("a refusal does not end the child", refuses),
        ("memory", memory),
        ("processor time", cpu),
        ("wall clock", wall),
        ("a stack", depth),
        ("a panic", panics),
        ("an answer that is too large", answer),
        ("a program that is not there", missing),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    println!("{} passed, 0 failed", tests.len());
    ExitCode::SUCCESS
}

/// What a child does when it is asked to.
fn work(request: &[u8]) -> Result<Vec<u8>, String> {
    match request {
        b"refuse" => Err("not this one".into()),
        b"eat" => Ok(vec![1; 1 << 30]),
        b"spin" => loop {
            std::hint::spin_loop();
        },
        b"sleep" => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(vec![])
        }
        b"dive" => Ok(vec![dive(0)]),
        #[expect(clippy::panic, reason = "the test is what happens then")]
        b"panic" => panic!("on\npurpose"),
        other => Ok(other.to_vec()),
    }
}

#[expect(unconditional_recursion, reason = "the test is what happens then")]
fn dive(depth: u64) -> u8 {
    std::hint::black_box([depth; 64]);
    dive(std::hint::black_box(depth + 1)) | 1
}

fn bounds() -> Bounds {
    Bounds {
        memory_bytes: 512 * MIB,
        cpu: Duration::from_secs(1),
        wall: Duration::from_secs(20),
        answer_bytes: 4 * MIB,
    }
}

fn start(bounds: Bounds) -> Worker {
    let program = Program::this([CHILD.into()]).unwrap();
    Worker::start(&program, bounds).unwrap()
}

/// Asks a fresh child, then sees that it is gone and that asking again says so at once.
fn check(request: &str, bounds: Bounds, expect: impl Fn(&Failure) -> bool) {
    let mut worker = start(bounds);
    let failure = worker.ask(request.as_bytes()).unwrap_err();
    assert!(expect(&failure), "{request}: {failure:?}");
    assert!(worker.ask(b"again").is_err());
}

fn answers() {
    let mut worker = start(bounds());
    for request in [b"one".to_vec(), vec![], vec![7; 3 << 20]] {
        assert_eq!(worker.ask(&request).unwrap(), request);
    }
}

fn refuses() {
    let mut worker = start(bounds());
    assert_eq!(worker.ask(b"refuse"), Err(Failure::Refused("not this one".into())));
    assert_eq!(worker.ask(b"one").unwrap(), b"one");
}

fn memory() {
    check("eat", bounds(), |f| *f == Failure::Memory { limit_bytes: 512 * MIB });
}

fn cpu() {
    let limit = Duration::from_secs(1);
    check("spin", bounds(), |f| *f == Failure::Time { limit });
}

fn wall() {
    let limit = Duration::from_millis(200);
    let began = Instant::now();
    check("sleep", Bounds { wall: limit, ..bounds() }, |f| *f == Failure::Time { limit });
    assert!(began.elapsed() < Duration::from_secs(10));
}

fn depth() {
    check("dive", bounds(), |f| *f == Failure::Depth);
}

fn panics() {
    check(
        "panic",
        bounds(),
        |f| matches!(f, Failure::Crashed(why) if why.contains(r"on\npurpose")),
    );
}

fn answer() {
    let limit_bytes = 16;
    let failure = |f: &Failure| *f == Failure::Answer { limit_bytes };
    check("a rather long request", Bounds { answer_bytes: limit_bytes, ..bounds() }, failure);
}

fn missing() {
    let nowhere = Program::new("/nowhere/at/all", []);
    assert!(matches!(Worker::start(&nowhere, bounds()), Err(Failure::NotStarted(_))));
}
