//! A policy author's first hour in JavaScript, in TypeScript and in Python: five commands from nothing to an answer that the policy
//! had a say in, and what the mistakes on the way say. Needs Node.js, Python and their registries, so only
//! `--include-ignored` runs it.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::{
    host::{Host, config, content},
    journey::{command, signalbox},
};

mod lent;

/// Where the author writes, and what a mistake looks like there.
struct Language {
    name: &'static str,
    source: &'static str,
    /// Fails on purpose when it is asked to.
    traps: &'static str,
    /// Uses the operator's settings without saying so.
    undeclared: &'static str,
    /// What the language's own tool finds without running it, and where.
    mistaken: Option<(&'static str, &'static str)>,
}

const JAVASCRIPT: Language = Language {
    name: "js",
    source: "policy.js",
    traps: "export function handle(request) {\n  console.log('I saw it');\n  \
            if (request.lastUserText() === 'trap') throw new Error('it fell over');\n}\n",
    undeclared: "import { setting } from './sdk/settings.js';\nexport const handle = () => setting('x');\n",
    mistaken: None,
};

const TYPESCRIPT: Language = Language {
    name: "ts",
    source: "policy.ts",
    traps: "import type { Request } from './sdk/signalbox.js';\n\n\
            export function handle(request: Request): void {\n  console.log('I saw it');\n  \
            if (request.lastUserText() === 'trap') throw new Error('it fell over');\n}\n",
    undeclared: "import { setting } from './sdk/settings.js';\n\
                 export const handle = (): void => { setting('x'); };\n",
    mistaken: Some((
        "import { to, type Request } from './sdk/signalbox.js';\n\
         export const handle = (request: Request) => to(request.messageCount());\n",
        "policy.ts(2,48): error TS2345: Argument of type 'number' is not assignable",
    )),
};

const PYTHON: Language = Language {
    name: "python",
    source: "policy.py",
    traps: "def handle(request, edits):\n    print('I saw it')\n    \
            if request.last_user_text() == 'trap':\n        raise ValueError('it fell over')\n",
    undeclared: "from signalbox.settings import setting\n\ndef handle(request, edits):\n    setting('x')\n",
    mistaken: None,
};

#[test]
#[ignore = "needs Node.js and npm's registry"]
fn five_commands_from_nothing_to_a_policy_in_javascript() {
    journey(&JAVASCRIPT);
}

#[test]
#[ignore = "needs Node.js and npm's registry"]
fn five_commands_from_nothing_to_a_policy_in_typescript() {
    journey(&TYPESCRIPT);
}

#[test]
#[ignore = "needs Python and its registry"]
fn five_commands_from_nothing_to_a_policy_in_python() {
    journey(&PYTHON);
}

fn journey(language: &Language) {
    // Compiling what a whole language's runtime is takes longer in a build without optimisation.
    let mut config = config();
    config["policies"]["limits"] = json!({"compile_cpu_s": 600});
    config["server_config"]["log_level"] = json!("info");
    let host = Host::start_logging(config);
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| signalbox(&host, dir.path(), args);

    run(&["policy", "new", "mine", "--lang", language.name, "--hook", "pre"]);
    run(&["policy", "build", "mine"]);
    assert!(run(&["policy", "test", "mine"]).contains("ok       pre.json: an empty question"));
    run(&["policy", "push", "mine", "--activate"]);
    let shown = run(&["policy", "inspect", "mine"]);
    assert!(shown.contains(&format!("sdk      {} ", language.name)), "{shown}");
    assert!(!shown.contains("wasi:http") && !shown.contains("keyvalue"), "{shown}");
    assert_eq!(content(&host.chat("phi4_fast", "  ").ok()), "Please ask something.");

    let source = dir.path().join("mine").join(language.source);
    fs::write(&source, language.undeclared).unwrap();
    let said = refused(&host, dir.path(), &["policy", "build", "mine"]);
    assert!(said.contains("add \"config\" to \"uses\" in policy.json"), "{said}");

    if let Some((text, words)) = language.mistaken {
        fs::write(&source, text).unwrap();
        let said = refused(&host, dir.path(), &["policy", "build", "mine"]);
        assert!(said.contains(words), "{said}");
    }

    fs::write(&source, language.traps).unwrap();
    run(&["policy", "push", "mine", "--activate"]);
    assert_eq!(host.chat("phi4_fast", "Hello!").status, 200);
    assert!(host.log().contains("I saw it"), "what is printed goes to the log");
    let failed = host.chat("phi4_fast", "trap");
    assert_eq!(failed.error_code(), "policy_trapped");
    assert!(host.grounds(&failed).contains("it fell over"), "{}", host.grounds(&failed));

    let manifest = dir.path().join("mine/policy.json");
    let said: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    fs::write(
        &manifest,
        json!({"hooks": ["route"], "name": "mine", "language": said["language"]}).to_string(),
    )
    .unwrap();
    let said = refused(&host, dir.path(), &["policy", "build", "mine"]);
    assert!(said.contains("'choose', which the hook 'route' calls"), "{said}");
}

/// What a command said that has to fail.
fn refused(host: &Host, dir: &Path, args: &[&str]) -> String {
    let Output { status, stderr, .. } = command(host, dir, args).output().unwrap();
    assert_eq!(status.code(), Some(1), "signalbox {args:?}");
    String::from_utf8_lossy(&stderr).into_owned()
}
