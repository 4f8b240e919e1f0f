//! Every toy expert answers what it learnt, reached through the default router.

use std::{fs, thread};

use serde_json::Value;

use crate::host::{EXPERTS, Host, content, models};

/// Questions and answers as the reference implementation recorded them.
pub(crate) fn recorded(expert: &str) -> Vec<(String, String)> {
    let file = models().join(expert).join("recorded.json");
    let recorded: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let entries = recorded["entries"].as_array().unwrap().iter();
    let text = |e: &Value, key: &str| e[key].as_str().unwrap().to_owned();
    entries.map(|e| (text(e, "prompt"), text(e, "answer"))).collect()
}

#[test]
fn every_expert_answers_its_lessons_through_the_router() {
    let host = Host::start();
    thread::scope(|scope| {
        for (expert, _) in EXPERTS {
            scope.spawn(|| assert_answers(&host, expert));
        }
    });
    for (expert, _) in EXPERTS {
        assert_eq!(host.expert(expert)["load_count"], 1, "{expert} was loaded again");
    }
}

fn assert_answers(host: &Host, expert: &str) {
    let lessons = recorded(expert);
    assert!(lessons.len() >= 60, "{expert} has only {} lessons", lessons.len());
    let mut exact = 0;
    for (prompt, answer) in &lessons {
        let reply = host.chat("auto", prompt).ok();
        assert!(reply["usage"]["completion_tokens"].as_u64().unwrap() > 0);
        if reply["model"] == expert && content(&reply) == *answer {
            exact += 1;
        } else {
            eprintln!("{expert}: {prompt:?} -> {} {:?}", reply["model"], content(&reply));
        }
    }
    assert!(exact * 100 >= lessons.len() * 95, "{expert}: {exact} of {} exact", lessons.len());
}
