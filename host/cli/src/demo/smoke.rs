//! `signalbox demo --smoke`: the whole main job in one go, over real HTTP. Every expert is asked
//! through the router, the router is swapped and swapped back, and no expert may be reloaded.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use signalbox_server::{
    App,
    wire::{
        completions::Completion,
        experts::ExpertList,
        requests::{ChatContent, ChatMessage, ChatRequest, Common},
    },
};
use tokio::{runtime::Runtime, sync::oneshot};

use crate::{
    app::{Host, Ports},
    builtin,
    client::{Client, read},
    output::complain,
    settings::Settings,
    term::{Spinner, say, say_table, short, short_revision, table},
};

/// The router that is swapped in.
const OTHER_ROUTER: &str = "round-robin";
/// Characters of a question and of an answer that the table shows.
const SHOWN: usize = 36;

/// A question of one expert's domain, as it was learnt.
struct Question {
    expert: &'static str,
    text: &'static str,
    answer_begins: &'static str,
}

const QUESTIONS: [Question; 5] = [
    Question {
        expert: "phi4_fast",
        text: "Hello, how are you?",
        answer_begins: "Hello! I am fine",
    },
    Question {
        expert: "mistral_balanced",
        text: "What is a GPU?",
        answer_begins: "A GPU is a graphics processing unit",
    },
    Question {
        expert: "qwen_coder",
        text: "Write a Python function that adds two numbers",
        answer_begins: "def add(a, b)",
    },
    Question {
        expert: "gemma3_multimodal",
        text: "Explain in depth how a signal box works",
        answer_begins: "A signal box brings together levers",
    },
    Question {
        expert: "aya_expanse_multilingual",
        text: "Translate 'good morning' to French",
        answer_begins: "Bonjour",
    },
];

/// Runs the tour; the exit code is 1 when anything was not as it should be.
pub(super) fn run(threads: &Runtime, settings: Settings) -> Result<ExitCode> {
    let token = settings.server.admin_token.clone();
    let start = Instant::now();
    let host = threads.block_on(async {
        let host = Ports::bind(settings).await?.start().await?;
        warm(&host.app).await;
        anyhow::Ok(host)
    })?;
    say!("five experts loaded and the router compiled in {} ms", start.elapsed().as_millis());
    let mut tour = Tour::new(&host, token);
    let (stop, stopped) = oneshot::channel::<()>();
    // Dropping the sender is the signal, so an error below stops the host too.
    let serving = threads.spawn(host.serve(async { drop(stopped.await) }));
    let outcome = tour.travel();
    drop(stop);
    threads.block_on(serving).context("the host broke down")??;
    outcome?;
    Ok(tour.verdict())
}

/// What an expert's memory looked like: a reload changes one or the other.
#[derive(PartialEq)]
struct Weights {
    expert: String,
    loads: u64,
    address: String,
}

struct Row {
    question: &'static str,
    expert: String,
    route: String,
    answer: String,
    milliseconds: u128,
}

struct Tour {
    data: Client,
    admin: Client,
    weights: Vec<Weights>,
    rows: Vec<Row>,
    wrong: Vec<String>,
}

impl Tour {
    fn new(host: &Host, token: Option<String>) -> Self {
        Self {
            data: Client::new(&format!("http://{}", host.data), None),
            admin: Client::new(&format!("http://{}", host.admin), token),
            weights: Vec::new(),
            rows: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Asks, swaps, asks again, swaps back, asks once more.
    fn travel(&mut self) -> Result<()> {
        self.weights = self.look_at_weights()?;
        for question in &QUESTIONS {
            self.ask(question, builtin::DEFAULT_ROUTER)?;
        }
        let other =
            builtin::component(OTHER_ROUTER).context("this build carries no round-robin")?;
        self.admin.upload(&format!("/policies/{OTHER_ROUTER}?activate=true"), other.bytes, None)?;
        for question in &QUESTIONS {
            self.ask(question, OTHER_ROUTER)?;
        }
        self.admin.post_nothing("/rollback")?;
        self.ask(&QUESTIONS[0], builtin::DEFAULT_ROUTER)?;
        self.compare()
    }

    /// Asks a question with the model left to the router, which should be `router`.
    fn ask(&mut self, question: &Question, router: &str) -> Result<()> {
        let waiting = Spinner::start(question.text);
        let content = ChatContent::Text(question.text.to_owned());
        let common = Common { temperature: Some(0.0), ..Common::default() };
        let messages = vec![ChatMessage::new("user", content)];
        let start = Instant::now();
        let answer = self
            .data
            .post(
                "/v1/chat/completions",
                &ChatRequest { messages, common, ..ChatRequest::default() },
            )
            .with_context(|| format!("\"{}\"", question.text))?;
        drop(waiting);
        let row = Row {
            question: question.text,
            expert: answer.expert.unwrap_or_default(),
            route: answer.route.unwrap_or_default(),
            answer: read::<Completion>(answer.body)?.into_text(),
            milliseconds: start.elapsed().as_millis(),
        };
        self.judge(question, router, &row);
        self.rows.push(row);
        Ok(())
    }

    fn judge(&mut self, question: &Question, router: &str, row: &Row) {
        let Row { question: text, expert, route, answer, .. } = row;
        if route.split('@').next() != Some(router) {
            self.wrong.push(format!("\"{text}\" was routed by '{route}', not by {router}"));
        }
        // Only the router by domain promises who answers.
        let by_domain = router == builtin::DEFAULT_ROUTER;
        if by_domain && expert != question.expert {
            self.wrong
                .push(format!("\"{text}\" was answered by {expert}, not {}", question.expert));
        } else if by_domain && !answer.trim_start().starts_with(question.answer_begins) {
            self.wrong.push(format!("{expert} answered \"{text}\" with \"{}\"", short(answer, 80)));
        } else if answer.trim().is_empty() {
            self.wrong.push(format!("{expert} answered \"{text}\" with nothing"));
        }
    }

    /// What the admin plane says of the experts' memory.
    fn look_at_weights(&self) -> Result<Vec<Weights>> {
        let ExpertList { experts } = read(self.admin.get("/experts")?)?;
        let weights = experts.into_iter().map(|expert| Weights {
            expert: expert.expert_id,
            loads: expert.load_count,
            address: expert.weights_address.unwrap_or_else(|| "-".to_owned()),
        });
        Ok(weights.collect())
    }

    fn compare(&mut self) -> Result<()> {
        for (before, after) in self.weights.iter().zip(self.look_at_weights()?) {
            if *before != after || before.loads != 1 {
                self.wrong.push(format!(
                    "{} was loaded {} times and lies at {}; it was {} times and {}",
                    after.expert, after.loads, after.address, before.loads, before.address
                ));
            }
        }
        Ok(())
    }

    /// Prints what happened and answers the exit code for it.
    fn verdict(&self) -> ExitCode {
        let mut lines = table(&["question", "expert", "route", "answer", "ms"]);
        for row in &self.rows {
            let (router, revision) = row.route.split_once('@').unwrap_or((&row.route, ""));
            lines.add_row([
                short(row.question, SHOWN),
                row.expert.clone(),
                format!("{router}@{}", short_revision(revision)),
                short(&row.answer, SHOWN),
                row.milliseconds.to_string(),
            ]);
        }
        say_table(&lines);
        say!();
        for Weights { expert, loads, address } in &self.weights {
            say!("{expert:25} loaded {loads} time(s), weights at {address}");
        }
        for wrong in &self.wrong {
            complain!("signalbox: {wrong}");
        }
        if self.wrong.is_empty() {
            say!();
            say!("The router was swapped twice; load counts and weight addresses are unchanged.");
            return ExitCode::SUCCESS;
        }
        ExitCode::FAILURE
    }
}

/// Waits until the experts are loaded.
pub(super) async fn warm(app: &App) {
    let loading = Spinner::start("loading five experts");
    app.fleet().warmed().await;
    drop(loading);
}
