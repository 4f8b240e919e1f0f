//! Compiling is bounded, cached and in nobody's way: bombs are refused while others are served, and
//! a restart compiles nothing again.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::host::{Host, config, eventually, example};

/// Processor seconds that a bomb may cost in these tests.
const CPU_S: u64 = 2;
/// What its end may take on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 127) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 128);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len()), content].concat()
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [leb(items.len()), items.concat()].concat()
}

/// A component with a hollow hook, around a core module of functions `(i32) -> i32`: so many i32
/// locals each, and their code.
fn component(bodies: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let body = |(locals, code): &(usize, Vec<u8>)| {
        let locals = [vec![1], leb(*locals), vec![0x7f]].concat();
        let body = [&locals[..], code, &[0x20, 0, 0x0b]].concat();
        [leb(body.len()), body].concat()
    };
    let bodies: Vec<_> = bodies.iter().map(body).collect();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &list(&[vec![0x60, 1, 0x7f, 1, 0x7f]])),
        section(3, &list(&vec![vec![0]; bodies.len()])),
        section(5, &[1, 0, 1]),
        section(10, &list(&bodies)),
    ];
    let hollow = r#"(component
        (instance $i) (export "signalbox:policy/route@0.2.0" (instance $i)))"#;
    let hollow = wat::parse_str(hollow).unwrap();
    let (head, hook) = hollow.split_at(8);
    [head, &section(1, &module.concat()), hook].concat()
}

/// Loops that read and write locals all over the function, so that every loop merges every local.
fn loops(locals: usize, count: usize) -> Vec<u8> {
    let local = |n: usize| leb(1 + n % locals);
    let turn = |n: usize| {
        let (a, b, c) = (local(n), local(n * 7), local(n * 13));
        [&[0x03, 0x40, 0x20][..], &a, &[0x20], &b, &[0x6a, 0x21], &c, &[0x20, 0, 0x0d, 0, 0x0b]]
            .concat()
    };
    (0..count).flat_map(turn).collect()
}

/// Constants, an xor and a product per step, in one straight line.
fn line(steps: usize) -> Vec<u8> {
    let step = |n: usize| [&[0x20, 0, 0x41][..], &leb(n % 60), &[0x6c, 0x21, 0]].concat();
    (0..steps).flat_map(step).collect()
}

fn nested(depth: usize) -> Vec<u8> {
    let (open, close) = ([0x02, 0x40].repeat(depth), vec![0x0b; depth]);
    [&open[..], &[0x20, 0, 0x0d, 0], &close].concat()
}

/// A jump table to every one of `depth` blocks.
fn table(depth: usize) -> Vec<u8> {
    let targets: Vec<u8> = (0..=depth).flat_map(leb).collect();
    let close = [0x0b, 0x20, 0, 0x41, 3, 0x6c, 0x21, 0].repeat(depth);
    [&[0x02, 0x40].repeat(depth)[..], &[0x20, 0, 0x0e], &leb(depth), &targets, &close].concat()
}

/// Within every cap, and yet it takes longer than it may.
fn slow() -> Vec<u8> {
    component(&vec![(1, line(20)); 90_000])
}

/// Components made to be slow to compile or large, with the codes by which they may be refused.
/// An empty list: either it is compiled or it is not, but in time.
fn bombs() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let one = |locals, code| component(&[(locals, code)]);
    vec![
        ("locals in loops", one(4000, loops(4000, 8000)), &["upload_function_too_complex"]),
        ("a smaller one", one(2000, loops(2000, 3000)), &["upload_function_too_complex"]),
        (
            "many functions of them",
            component(&vec![(900, loops(900, 900)); 200]),
            &["upload_too_complex", "upload_function_too_complex"],
        ),
        ("a very large function", one(1, line(200_000)), &["upload_function_too_large"]),
        ("too many locals", one(40_000, vec![]), &["upload_too_many_locals"]),
        (
            "very many functions",
            component(&vec![(0, vec![]); 300_000]),
            &["upload_too_many_functions"],
        ),
        ("many functions", slow(), &["upload_compile_time"]),
        ("deep nesting", one(1, nested(100_000)), &[]),
        ("a wide jump table", one(1, table(20_000)), &[]),
    ]
}

fn bounded() -> Value {
    let mut bounded = config();
    bounded["policies"] = json!({"limits": {"compile_cpu_s": CPU_S}});
    bounded
}

/// Peak memory of the host itself, without its children.
fn peak_bytes(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn bombs_are_refused_in_bounded_time_and_memory() {
    let host = Host::start_with(bounded());
    let before = peak_bytes(&host);
    for (what, bytes, codes) in bombs() {
        let began = Instant::now();
        let answer = host.upload("bomb", &bytes);
        assert!(began.elapsed() < PATIENCE, "{what} took {:?}", began.elapsed());
        assert_eq!(answer.status, 422, "{what}: {}", answer.text);
        if !codes.is_empty() {
            let code = answer.error_code();
            assert!(codes.contains(&code.as_str()), "{what}: {}", answer.text);
        }
    }
    let grown = peak_bytes(&host).saturating_sub(before);
    assert!(grown < 256 << 20, "the host itself took {grown} bytes");
    assert_eq!(host.chat("auto", "Hello!").status, 200);
}

#[test]
fn calls_and_operators_do_not_wait_for_a_bomb() {
    let host = Host::start_with(bounded());
    let first = host.deploy("guard", &variant(1));
    let second = host.deploy("guard", &variant(2));
    thread::scope(|scope| {
        let bomb = scope.spawn(|| host.upload("bomb", &slow()).error_code());
        let mut turns = 0;
        while !bomb.is_finished() || turns == 0 {
            assert_eq!(host.chat("auto", "Hello!").status, 200);
            for revision in [&first, &second] {
                host.activate("guard", revision);
            }
            turns += 1;
        }
        assert_eq!(bomb.join().unwrap(), "upload_compile_time");
        assert!(turns > 1, "all of it happened while the bomb was compiled");
    });
}

/// `round-robin` as another revision.
fn variant(number: u8) -> Vec<u8> {
    [example("round-robin"), &[0, 3, 1, b'v', number]].concat()
}

/// The cached code of a revision.
fn cached(host: &Host, revision: &str) -> PathBuf {
    let entries = fs::read_dir(host.policies_dir().join("code")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(revision);
    paths.into_iter().find(is).expect("its code is cached")
}

/// Milliseconds that a component took to compile when it was uploaded, and its revision.
fn compile_ms(host: &Host, component: &[u8]) -> (u64, String) {
    let report = host.upload("cached", component).ok();
    let revision = report["revision"].as_str().unwrap().to_owned();
    (report["compile_ms"].as_u64().unwrap(), revision)
}

#[test]
fn a_restart_compiles_nothing_again_unless_the_cache_was_touched() {
    let host = Host::start();
    let (kept_ms, _) = compile_ms(&host, &variant(1));
    let (touched_ms, touched) = compile_ms(&host, &variant(2));
    assert!(kept_ms > 0 && touched_ms > 0);
    let entry = cached(&host, &touched);
    let mut code = fs::read(&entry).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&entry, code).unwrap();
    host.kill();
    let host = host.restart();
    assert_eq!(compile_ms(&host, &variant(1)).0, 0);
    assert!(compile_ms(&host, &variant(2)).0 > 0);
    host.activate("cached", &touched);
    assert_eq!(host.chat("auto", "Hello!").status, 200);
}

#[test]
fn an_upload_that_is_refused_leaves_no_code() {
    let host = Host::start();
    let entries = |host: &Host| fs::read_dir(host.policies_dir().join("code")).unwrap().count();
    let before = entries(&host);
    let hollow = component(&[(1, line(1))]);
    assert_eq!(host.upload("hollow", &hollow).error_code(), "upload_not_runnable");
    assert_eq!(entries(&host), before);
}

/// The processes that `parent` started and that run.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |id: &u32| {
        // A process that ended meanwhile is nobody's child.
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().any(|line| {
            line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string())
        })
    };
    ids.filter(is_child).collect()
}

#[test]
fn a_compiler_that_is_killed_from_outside_is_reported_as_such() {
    let host = Host::start_with(bounded());
    thread::scope(|scope| {
        let upload = scope.spawn(|| host.upload("slow", &slow()));
        eventually("a child compiles", PATIENCE, || {
            for child in children(host.pid()) {
                let kill = Command::new("kill").args(["-KILL", &child.to_string()]).status();
                // One that ended by itself meanwhile can't be killed.
                assert!(kill.unwrap().success() || !children(host.pid()).contains(&child));
            }
            upload.is_finished()
        });
        let answer = upload.join().unwrap();
        assert_eq!((answer.status, answer.error_code().as_str()), (503, "compiler_unavailable"));
        let message = ["killed from outside", "no process"]; // the latter before it began
        assert!(message.iter().any(|words| answer.text.contains(words)), "{}", answer.text);
        assert_eq!(answer.header("retry-after"), "1");
    });
    host.upload("fine", &variant(1)).ok();
}

#[test]
fn a_start_that_compiles_for_long_answers_at_once_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = folder.path().join("bomb.wasm");
    fs::write(&bomb, slow()).unwrap();
    let mut slow = bounded();
    slow["policies"]["components"] = json!({"bomb": bomb});
    let mut host = Host::starting(slow);
    eventually("the component is being compiled", PATIENCE, || {
        host.get("/ready").text.contains("policy bomb")
    });
    let ready = host.get("/ready");
    assert_eq!((ready.status, ready.json()["ready"].as_bool()), (503, Some(false)));
    assert_eq!(host.get("/health").status, 200);
    let chat = host.chat("auto", "Hello!");
    assert_eq!((chat.status, chat.error_code().as_str()), (503, "starting"));
    assert!(chat.text.contains("policy bomb"), "{}", chat.text);
    let change = host.admin_post("/rollback", &json!({}));
    assert_eq!((change.status, change.error_code().as_str()), (503, "starting"));
    let ended = host.exit_within(PATIENCE).and_then(|status| status.code());
    assert_eq!(ended, Some(1), "a component that can't be deployed ends the start");
}
