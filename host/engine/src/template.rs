//! Chat templates: a checkpoint's own Jinja source, rendered as `transformers` renders it, so that
//! the expert sees exactly the text it was trained on. Templates are foreign code: a child process runs
//! them, within bounds of memory, time and output that the system keeps.

use std::{borrow::Cow, sync::Arc};

use crate::{Message, Part, settings::Templates};

mod child;
mod declared;
mod files;
mod jinja;
mod pool;
mod problem;
mod source;
mod turn;
mod turn_marks;

use child::Order;
pub use child::serve_template;
pub(crate) use declared::DeclaredTemplate;
#[cfg(test)]
pub(crate) use files::{find, token_names};
use jinja::Jinja;
use pool::Pool;
pub(crate) use problem::Problem;
pub(crate) use turn::TokenNames;
use turn::{Content, Piece, Turn};
pub(crate) use turn_marks::TurnMarks;

/// Bytes that one rendering in this process may produce.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// Stands where a text would, to see whether a template shows it.
const PROBE: &str = "template-probe";

/// Reads any bytes as a source, and as a renderer's answer, for fuzzers.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &[u8]) {
    let source = String::from_utf8_lossy(bytes);
    // Whether it compiles is the template's affair; that it ends is ours.
    let _ = Jinja::compile(&source, &TokenNames::new(), OUTPUT_BYTES_MAX);
    let _ = child::read(bytes.to_vec(), OUTPUT_BYTES_MAX);
}

/// Where templates are rendered, as it runs. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Renderers {
    /// In this process, which a hostile template can end.
    Here,
    /// In children.
    Children(Arc<Pool>),
}

impl Renderers {
    /// No child is started before a template needs one.
    pub(crate) fn open(templates: &Templates) -> Self {
        match templates {
            Templates::InProcess => Self::Here,
            Templates::Child { program, limits } => {
                Self::Children(Arc::new(Pool::new(program.clone(), *limits)))
            }
        }
    }
}

/// A chat template that is known to compile.
pub(crate) struct ChatTemplate {
    compiled: Compiled,
    shows_system: bool,
    /// Content may be a list of parts, and not only a string.
    reads_parts: bool,
    /// A system prompt further down has a place, too.
    shows_later_system: bool,
    marks: TurnMarks,
}

enum Compiled {
    Here(Jinja),
    Children(Arc<Pool>, pool::ChildTemplate),
}

impl ChatTemplate {
    /// Compiles a template and tries it on small conversations.
    pub(crate) fn compile(
        source: String,
        names: &TokenNames,
        renderers: &Renderers,
    ) -> Result<Self, Problem> {
        let compiled = match renderers {
            Renderers::Here => Compiled::Here(Jinja::compile(&source, names, OUTPUT_BYTES_MAX)?),
            Renderers::Children(pool) => {
                Compiled::Children(pool.clone(), pool.compile(source, names.clone())?)
            }
        };
        let mut template = Self {
            compiled,
            shows_system: true,
            reads_parts: true,
            shows_later_system: true,
            marks: TurnMarks::default(),
        };
        if let Err(problem @ Problem::Failed(_)) =
            template.render_as_they_are(&[Message::text("user", PROBE)])
        {
            return Err(problem);
        }
        template.reads_parts = template.probe_parts()?;
        template.shows_system = template.shows_system_behind(&[])?;
        template.shows_later_system = template
            .shows_system_behind(&[Message::text("user", "?"), Message::text("assistant", "!")])?;
        template.marks = template.probe_turns()?;
        Ok(template)
    }

    /// It has a place for a system prompt behind other turns.
    pub(crate) fn shows_later_system(&self) -> bool {
        self.shows_later_system
    }

    /// What it writes around turns.
    pub(crate) fn marks(&self) -> &TurnMarks {
        &self.marks
    }

    /// The prompt for these messages, ready for the expert to go on. A system prompt that the
    /// template has no place for opens the first user turn instead, parted by a blank line, as the
    /// documentation of the models without a system role has it.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<String, Problem> {
        let messages = if self.shows_system { messages.into() } else { merge_system(messages) };
        self.render_as_they_are(&messages)
    }

    fn render_as_they_are(&self, messages: &[Message]) -> Result<String, Problem> {
        let turn =
            |message: &Message| Turn { role: message.role.clone(), content: self.content(message) };
        let turns: Vec<Turn> = messages.iter().map(turn).collect();
        match &self.compiled {
            Compiled::Here(jinja) => jinja.render(&turns),
            Compiled::Children(pool, source) => {
                pool.ask(source, &Order::Render { turns: turns.into() })
            }
        }
    }

    /// What a template makes of our own few words; `None` where it does not accept them. One that
    /// needs more than it may for so little is no template.
    fn probe(&self, messages: &[Message]) -> Result<Option<String>, Problem> {
        match self.render_as_they_are(messages) {
            Ok(text) => Ok(Some(text)),
            Err(Problem::Raised(_) | Problem::Failed(_)) => Ok(None),
            Err(problem @ Problem::TooLong { .. }) => Err(Problem::Unbounded(problem.to_string())),
            Err(problem) => Err(problem),
        }
    }

    fn shows_system_behind(&self, before: &[Message]) -> Result<bool, Problem> {
        let behind = [Message::text("system", PROBE), Message::text("user", "?")];
        let probe = [before, &behind].concat();
        Ok(self.probe(&probe)?.is_some_and(|text| text.contains(PROBE)))
    }

    /// Conversations of every kind that a template may mark in its own way.
    fn probe_turns(&self) -> Result<TurnMarks, Problem> {
        let [one, two, three] = turn_marks::TEXTS;
        let user = Message::text("user", one);
        let mut marks = TurnMarks::default();
        for rest in [
            vec![Message::text("assistant", two), Message::text("tool", three)],
            vec![Message::text("assistant", two), Message::text("user", three)],
        ] {
            let turns: Vec<Message> = std::iter::once(user.clone()).chain(rest).collect();
            if let Some(rendered) = self.probe(&turns)? {
                marks.add(&rendered);
            }
        }
        if let Some(rendered) = self.probe(&[Message::text("system", three), user])? {
            marks.add(&rendered);
        }
        Ok(marks)
    }

    /// A template that expects a string fails on a list, or prints it as the list that it is.
    fn probe_parts(&self) -> Result<bool, Problem> {
        let content = vec![Part::Text(PROBE.into()), Part::Text(PROBE.into())];
        let shown = self.probe(&[Message { role: "user".into(), content }])?;
        let twice = |text: String| text.matches(PROBE).count() == 2 && !text.contains("\"text\"");
        Ok(shown.is_some_and(twice))
    }

    /// What the template is shown: plain text, or a list of parts where there are pictures among
    /// them or several parts that it can read. Of a system prompt's parts some templates read only
    /// the first, so that one is always plain.
    fn content(&self, message: &Message) -> Content {
        let several = message.content.len() > 1 && self.reads_parts && message.role != "system";
        if several || message.images().next().is_some() {
            return Content::Pieces(message.content.iter().map(shown).collect());
        }
        Content::Plain(message.texts().collect())
    }
}

fn merge_system(messages: &[Message]) -> Cow<'_, [Message]> {
    match messages {
        [system, user, rest @ ..] if system.role == "system" && user.role == "user" => {
            let merged = Message { role: user.role.clone(), content: joined(system, user) };
            std::iter::once(merged).chain(rest.iter().cloned()).collect()
        }
        [system, rest @ ..] if system.role == "system" && opens_with_a_reply(rest) => {
            let asked = Message { role: "user".to_owned(), content: system.content.clone() };
            std::iter::once(asked).chain(rest.iter().cloned()).collect()
        }
        _ => messages.into(),
    }
}

fn opens_with_a_reply(turns: &[Message]) -> bool {
    turns.first().is_some_and(|turn| turn.role == "assistant")
}

/// A system prompt, a blank line, and a user's turn.
fn joined(system: &Message, user: &Message) -> Vec<Part> {
    let opening = format!("{}\n\n", system.texts().collect::<String>());
    match &user.content[..] {
        [Part::Text(text), rest @ ..] => {
            std::iter::once(Part::Text(opening + text)).chain(rest.iter().cloned()).collect()
        }
        parts => std::iter::once(Part::Text(opening)).chain(parts.iter().cloned()).collect(),
    }
}

fn shown(part: &Part) -> Piece {
    match part {
        Part::Text(text) => Piece::Text { text: text.clone() },
        Part::Image(_) => Piece::Image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALTERNATING: &str = "{{ bos_token }}{% for message in messages %}\
        {% if message['role'] not in ['user', 'assistant'] %}\
        {{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}\
        [{{ message['role'] }}]{{ message['content'].strip() }}{% endfor %}";

    fn compile(source: &str) -> ChatTemplate {
        let names = TokenNames::from([("bos_token".into(), "<s>".into())]);
        ChatTemplate::compile(source.into(), &names, &Renderers::Here).unwrap()
    }

    fn render(source: &str, turns: &[(&str, &str)]) -> Result<String, Problem> {
        let messages: Vec<_> =
            turns.iter().map(|(role, content)| Message::text(*role, *content)).collect();
        compile(source).render(&messages)
    }

    #[test]
    fn python_methods_and_token_names_work() {
        assert_eq!(render(ALTERNATING, &[("user", " hi ")]).unwrap(), "<s>[user]hi");
    }

    #[test]
    fn a_system_prompt_without_a_place_opens_the_first_user_turn() {
        let turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yo"), ("user", "Bye")];
        assert_eq!(
            render(ALTERNATING, &turns).unwrap(),
            "<s>[user]Be brief.\n\nHi[assistant]Yo[user]Bye"
        );
        let silent = "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}";
        assert_eq!(render(silent, &turns[..2]).unwrap(), "Be brief.\n\nHi");
        let native = "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}";
        assert_eq!(render(native, &turns[..2]).unwrap(), "system:Be brief.;user:Hi;");
    }

    #[test]
    fn parts_are_shown_as_such_only_where_a_template_reads_them() {
        let parts = |role: &str, texts: [&str; 2]| Message {
            role: role.into(),
            content: texts.map(|text| Part::Text(text.into())).into(),
        };
        let turns = [parts("system", ["a", "b"]), parts("user", ["c", "d"])];
        let reading = "{% for m in messages %}{% if m.content is string %}{{ m.content }}\
            {% else %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}";
        assert_eq!(compile(reading).render(&turns).unwrap(), "ab[c][d]");
        let printing = "{% for m in messages %}({{ m.content }}){% endfor %}";
        assert_eq!(compile(printing).render(&turns).unwrap(), "(ab)(cd)");
        let joining = "{% for m in messages %}{{ m.role + ': ' + m.content }};{% endfor %}";
        assert_eq!(compile(joining).render(&turns).unwrap(), "system: ab;user: cd;");
    }

    #[test]
    fn refusals_speak_in_the_template_s_words() {
        let refused = render(ALTERNATING, &[("tool", "42")]).unwrap_err();
        assert_eq!(refused, Problem::Raised("Only user and assistant roles are supported!".into()));
    }

    /// Compiles and tries a template that is no good.
    fn check_problem(source: &str, expect: impl Fn(&Problem) -> bool) {
        let compiled = ChatTemplate::compile(source.into(), &TokenNames::new(), &Renderers::Here);
        let problem = compiled.err().unwrap();
        assert!(expect(&problem), "{source}: {problem:?}");
    }

    #[test]
    fn hostile_templates_end() {
        let endless =
            "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}";
        check_problem(endless, |p| matches!(p, Problem::Unbounded(why) if why.contains("fuel")));
        let huge = "{% for a in range(99) %}{{ 'x' * 9000000 }}{% endfor %}";
        check_problem(huge, |p| matches!(p, Problem::Unbounded(why) if why.contains("bytes")));
        check_problem("{% if %}", |p| matches!(p, Problem::Failed(_)));
    }

    #[test]
    fn a_template_s_mistakes_are_not_what_it_refuses() {
        let mistaken = "{% if messages | length > 1 %}{{ 1 + 'a' }}{% endif %}";
        let turns = [("user", "a"), ("assistant", "b")];
        assert!(matches!(render(mistaken, &turns), Err(Problem::Failed(_))));
    }

    #[test]
    fn blocks_are_trimmed_and_json_is_python_s() {
        let source = "{% if true %}\n  {% set x = {'a': ['<b>', 1], 'ü': none} %}\n\
            {{ x | tojson }}{% endif %}\n";
        assert_eq!(render(source, &[]).unwrap(), r#"{"a": ["<b>", 1], "ü": null}"#);
        assert_eq!(render("{{ [1] | tojson(indent=2) }}", &[]).unwrap(), "[\n  1\n]");
        assert_eq!(
            render("{{ strftime_now('%Y') | length }}{{ tools is none }}", &[]).unwrap(),
            "4True"
        );
    }
}
