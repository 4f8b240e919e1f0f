//! Chat templates: a checkpoint's own Jinja source, rendered as `transformers` renders it, so that
//! the expert sees exactly the text it was trained on. Templates are foreign code: a child process runs
//! them, within bounds of memory, time and output that the system keeps.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use crate::{
    Message, Opening, Part,
    request::Conversation,
    settings::Templates,
    tools::{Tool, Tools},
};

mod child;
mod declared;
mod files;
mod jinja;
mod pool;
mod problem;
mod shown;
mod source;
mod spoken;
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
use turn::{Shown, Turn};
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
    tools: ToolsPlace,
}

/// Where a template looks for tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ToolsPlace {
    /// In the variable `tools`, as transformers passes them.
    Variable,
    /// In the system's turn, as JSON.
    System,
    /// Nowhere: a prompt of ours tells of them.
    Nowhere,
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
            tools: ToolsPlace::Variable,
        };
        if let Err(problem @ Problem::Failed(_)) =
            template.render_as_they_are(&[Message::text("user", PROBE)].to_vec().into())
        {
            return Err(problem);
        }
        template.reads_parts = template.probe_parts()?;
        template.shows_system = template.shows_system_behind(&[])?;
        template.shows_later_system = template
            .shows_system_behind(&[Message::text("user", "?"), Message::text("assistant", "!")])?;
        template.marks = template.probe_turns()?;
        template.tools = template.probe_tools()?;
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

    /// The conversation as this template can show it: tools that it has no place for become words.
    pub(crate) fn told<'c>(&self, conversation: &'c Conversation) -> Cow<'c, Conversation> {
        match self.tools {
            ToolsPlace::Nowhere => spoken::told(conversation),
            ToolsPlace::Variable | ToolsPlace::System => Cow::Borrowed(conversation),
        }
    }

    /// The prompt for this conversation, ready for the expert to go on. A system prompt that the
    /// template has no place for opens the first user turn instead, parted by a blank line, as the
    /// documentation of the models without a system role has it.
    pub(crate) fn render(&self, conversation: &Conversation) -> Result<String, Problem> {
        if self.shows_system {
            return self.render_as_they_are(conversation);
        }
        let messages = merge_system(&conversation.messages).into_owned();
        self.render_as_they_are(&Conversation { messages, ..conversation.clone() })
    }

    fn render_as_they_are(&self, conversation: &Conversation) -> Result<String, Problem> {
        let messages = &conversation.messages;
        let mut turns: Vec<Turn> =
            messages.iter().map(|m| shown::turn(m, messages, self.reads_parts)).collect();
        let definitions = definitions(&conversation.tools);
        let tools = match (self.tools, definitions) {
            (ToolsPlace::System, Some(definitions)) => {
                shown::tell_system(&mut turns, &Value::Array(definitions));
                None
            }
            (_, definitions) => definitions,
        };
        let add_generation_prompt = conversation.opening == Opening::Reply;
        let rendered = self.write(&Shown { turns, tools, add_generation_prompt })?;
        match (conversation.opening, messages.last()) {
            (Opening::Continuation, Some(last)) => shown::cut_behind(rendered, last),
            _ => Ok(rendered),
        }
    }

    fn write(&self, shown: &Shown) -> Result<String, Problem> {
        match &self.compiled {
            Compiled::Here(jinja) => jinja.render(shown),
            Compiled::Children(pool, source) => {
                pool.ask(source, &Order::Render { shown: Cow::Borrowed(shown) })
            }
        }
    }

    /// What a template makes of our own few words; `None` where it does not accept them. One that
    /// needs more than it may for so little is no template.
    fn probe(&self, messages: &[Message]) -> Result<Option<String>, Problem> {
        self.probe_all(&messages.to_vec().into())
    }

    fn probe_all(&self, conversation: &Conversation) -> Result<Option<String>, Problem> {
        match self.render_as_they_are(conversation) {
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
        let shown = self.probe(&[Message::of("user", content)])?;
        let twice = |text: String| text.matches(PROBE).count() == 2 && !text.contains("\"text\"");
        Ok(shown.is_some_and(twice))
    }

    /// A template that shows a tool's name where transformers puts tools knows them; Phi's looks elsewhere.
    fn probe_tools(&mut self) -> Result<ToolsPlace, Problem> {
        let messages = [Message::text("system", "?"), Message::text("user", "?")];
        let tools = Arc::new(Tools { offered: vec![probe_tool()], ..Tools::default() });
        for place in [ToolsPlace::Variable, ToolsPlace::System] {
            self.tools = place;
            for behind in [0, 1] {
                let messages = messages[behind..].to_vec();
                let tools = tools.clone();
                let asked = Conversation { messages, tools, opening: Opening::Reply };
                if self.probe_all(&asked)?.is_some_and(|text| text.contains(PROBE)) {
                    return Ok(place);
                }
            }
        }
        Ok(ToolsPlace::Nowhere)
    }
}

/// A tool whose name shows whether a template shows tools.
fn probe_tool() -> Tool {
    let parameters = serde_json::json!({ "type": "object", "properties": {} });
    Tool { name: PROBE.to_owned(), description: Some("?".to_owned()), parameters, strict: false }
}

/// What templates are shown of tools; `None` where there are none.
fn definitions(tools: &Tools) -> Option<Vec<Value>> {
    let callable = tools.callable();
    (!callable.is_empty()).then(|| callable.iter().map(Tool::definition).collect())
}

fn merge_system(messages: &[Message]) -> Cow<'_, [Message]> {
    match messages {
        [system, user, rest @ ..] if system.role == "system" && user.role == "user" => {
            let merged = Message::of(&user.role, joined(system, user));
            std::iter::once(merged).chain(rest.iter().cloned()).collect()
        }
        [system, rest @ ..] if system.role == "system" && opens_with_a_reply(rest) => {
            let asked = Message::of("user", system.content.clone());
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
        compile(source).render(&messages.into())
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
        let parts = |role: &str, texts: [&str; 2]| {
            Message::of(role, texts.map(|text| Part::Text(text.into())).into())
        };
        let turns = vec![parts("system", ["a", "b"]), parts("user", ["c", "d"])].into();
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
