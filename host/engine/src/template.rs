//! Chat templates: a checkpoint's own Jinja source, rendered as `transformers` renders it, so that
//! the expert sees exactly the text it was trained on. Templates are foreign code: time and output
//! are bounded.

use std::{borrow::Cow, collections::BTreeMap, fs, io, path::Path};

use minijinja::{Environment, Error, ErrorKind, Value, context, value::Kwargs};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use time::{OffsetDateTime, format_description::parse_strftime_owned};

use crate::{
    Message, Part,
    checkpoint::{GgufMetadata, Source},
    generation::read_json,
};

/// Instructions one rendering may execute: thousands of turns, well under a second.
const FUEL: u64 = 5_000_000;
/// Bytes one rendering may produce.
const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Bytes of a template's source.
const SOURCE_BYTES_MAX: u64 = 1 << 20;
/// The one template of each environment.
const NAME: &str = "chat";
/// Stands where a text would, to see whether a template shows it.
const PROBE: &str = "template-probe";

/// Names and texts of the tokens that templates may mention: `bos_token`, `eos_token`, ...
pub(crate) type TokenNames = BTreeMap<String, String>;

/// A compiled chat template.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    shows_system: bool,
    /// Content may be a list of parts, and not only a string.
    reads_parts: bool,
}

impl ChatTemplate {
    /// Compiles a template; the error is the compiler's own words.
    pub(crate) fn compile(source: String, names: &TokenNames) -> Result<Self, String> {
        let mut environment = environment(names);
        environment.add_template_owned(NAME, source).map_err(|error| words(&error))?;
        let mut template = Self { environment, shows_system: true, reads_parts: true };
        template.reads_parts = template.probe_parts();
        template.shows_system = template.probe_system();
        Ok(template)
    }

    /// The prompt for these messages, ready for the expert to go on. A system prompt that the
    /// template has no place for opens the first user turn instead, parted by a blank line, as the
    /// documentation of the models without a system role has it. The error is the template's own
    /// words.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<String, String> {
        let messages = if self.shows_system { messages.into() } else { merge_system(messages) };
        self.render_as_they_are(&messages)
    }

    fn render_as_they_are(&self, messages: &[Message]) -> Result<String, String> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role, content => self.content(message) })
            .collect();
        // `tools` and `documents` are defined and none, as transformers passes them.
        let context = context! {
            messages, add_generation_prompt => true, tools => (), documents => (),
        };
        let mut output = Bounded::default();
        let template = self.environment.get_template(NAME).map_err(|error| words(&error))?;
        template.render_captured_to(context, &mut output).map_err(|error| words(&error))?;
        String::from_utf8(output.0).map_err(|error| error.to_string())
    }

    fn probe_system(&self) -> bool {
        let probe = [Message::text("system", PROBE), Message::text("user", "?")];
        self.render_as_they_are(&probe).is_ok_and(|text| text.contains(PROBE))
    }

    /// A template that expects a string fails on a list, or prints it as the list that it is.
    fn probe_parts(&self) -> bool {
        let content = vec![Part::Text(PROBE.into()), Part::Text(PROBE.into())];
        let probe = [Message { role: "user".into(), content }];
        let shown = self.render_as_they_are(&probe);
        shown.is_ok_and(|text| text.matches(PROBE).count() == 2 && !text.contains("\"text\""))
    }

    /// What the template is shown: plain text, or a list of parts where there are pictures among
    /// them or several parts that it can read. Of a system prompt's parts some templates read only
    /// the first, so that one is always plain.
    fn content(&self, message: &Message) -> Value {
        let several = message.content.len() > 1 && self.reads_parts && message.role != "system";
        if several || message.images().next().is_some() {
            return message.content.iter().map(shown).collect();
        }
        message.texts().collect::<String>().into()
    }
}

fn merge_system(messages: &[Message]) -> Cow<'_, [Message]> {
    match messages {
        [system, user, rest @ ..] if system.role == "system" && user.role == "user" => {
            let merged = Message { role: user.role.clone(), content: joined(system, user) };
            std::iter::once(merged).chain(rest.iter().cloned()).collect()
        }
        _ => messages.into(),
    }
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

fn shown(part: &Part) -> Value {
    match part {
        Part::Text(text) => context! { type => "text", text },
        Part::Image(_) => context! { type => "image" },
    }
}

/// Jinja set up as `transformers.utils.chat_template_utils` sets it up.
fn environment(names: &TokenNames) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    for (name, text) in names {
        environment.add_global(name.clone(), text.clone());
    }
    environment
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// Today in UTC, in C's format language.
fn strftime_now(format: &str) -> Result<String, Error> {
    let malformed = |error: &dyn std::error::Error| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now('{format}'): {error}"))
    };
    let description = parse_strftime_owned(format).map_err(|error| malformed(&error))?;
    OffsetDateTime::now_utc().format(&description).map_err(|error| malformed(&error))
}

/// JSON as Python's `json.dumps(ensure_ascii=False)` writes it; Jinja's own filter would escape
/// `<`.
fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    match indent {
        Some(width) => {
            let indent = " ".repeat(width.min(16));
            write_json(&value, PrettyFormatter::with_indent(indent.as_bytes()))
        }
        None => write_json(&value, PythonFormatter(CompactFormatter)),
    }
}

fn write_json(value: &Value, formatter: impl Formatter) -> Result<String, Error> {
    let failed = |error: String| Error::new(ErrorKind::BadSerialization, error);
    let mut bytes = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

/// Compact JSON but for the blanks that Python puts behind commas and colons.
struct PythonFormatter(CompactFormatter);

impl Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

/// Output that ends a rendering which grows beyond reason.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            let problem = format!("the template writes more than {OUTPUT_BYTES_MAX} bytes");
            return Err(io::Error::other(problem));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `raise_exception` was given, or what went wrong and where.
fn words(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::InvalidOperation, Some(detail)) => detail.to_owned(),
        (ErrorKind::WriteFailure, _) => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
        }
        _ => error.to_string(),
    }
}

/// The template a checkpoint brings, newest place first; `None` when it brings none.
pub(crate) fn find(source: &Source<'_>) -> Option<String> {
    match source {
        Source::Folder(folder) => template_file(folder).or_else(|| template_in_json(folder)),
        Source::Gguf(metadata) => metadata.get_str("tokenizer.chat_template").map(str::to_owned),
    }
}

fn template_file(folder: &Path) -> Option<String> {
    let path = folder.join("chat_template.jinja");
    let small = fs::metadata(&path).is_ok_and(|file| file.len() <= SOURCE_BYTES_MAX);
    small.then(|| fs::read_to_string(path).ok()).flatten()
}

fn template_in_json(folder: &Path) -> Option<String> {
    ["chat_template.json", "tokenizer_config.json"].into_iter().find_map(|file| {
        let config: serde_json::Value = read_json(&folder.join(file));
        named_default(&config["chat_template"]).map(str::to_owned)
    })
}

/// A template, or the one called `default` in a list of named ones.
fn named_default(declared: &serde_json::Value) -> Option<&str> {
    let from_list = || {
        let default = declared.as_array()?.iter().find(|entry| entry["name"] == "default")?;
        default["template"].as_str()
    };
    declared.as_str().or_else(from_list)
}

/// The token texts that templates may mention.
pub(crate) fn token_names(source: &Source<'_>) -> TokenNames {
    match source {
        Source::Folder(folder) => names_in_folder(folder),
        Source::Gguf(metadata) => names_in_gguf(metadata),
    }
}

fn names_in_folder(folder: &Path) -> TokenNames {
    let mut names = TokenNames::new();
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        let config: serde_json::Map<String, serde_json::Value> = read_json(&folder.join(file));
        names.extend(config.into_iter().filter_map(|(name, value)| {
            let text = value.as_str().or_else(|| value["content"].as_str())?;
            name.ends_with("_token").then(|| (name, text.to_owned()))
        }));
    }
    names
}

fn names_in_gguf(metadata: &GgufMetadata) -> TokenNames {
    let tokens = metadata.get_strings("tokenizer.ggml.tokens").unwrap_or_default();
    let text = |(name, key): (&str, &str)| {
        let id = metadata.get_u32(&format!("tokenizer.ggml.{key}_token_id"))?;
        Some((format!("{name}_token"), tokens.get(id as usize)?.clone()))
    };
    let keys = [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")];
    keys.into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Datum;

    const ALTERNATING: &str = "{{ bos_token }}{% for message in messages %}\
        {% if message['role'] not in ['user', 'assistant'] %}\
        {{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}\
        [{{ message['role'] }}]{{ message['content'].strip() }}{% endfor %}";

    fn compile(source: &str) -> ChatTemplate {
        let names = TokenNames::from([("bos_token".into(), "<s>".into())]);
        ChatTemplate::compile(source.into(), &names).unwrap()
    }

    fn render(source: &str, turns: &[(&str, &str)]) -> Result<String, String> {
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
        assert_eq!(refused, "Only user and assistant roles are supported!");
    }

    #[test]
    fn hostile_templates_end() {
        let endless =
            "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}";
        assert!(render(endless, &[("user", "x")]).unwrap_err().contains("fuel"));
        let huge = "{% for a in range(99) %}{{ 'x' * 9000000 }}{% endfor %}";
        assert!(render(huge, &[("user", "x")]).unwrap_err().contains("bytes"));
        assert!(ChatTemplate::compile("{% if %}".into(), &TokenNames::new()).is_err());
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

    #[test]
    fn templates_are_found_newest_place_first() {
        let folder = tempfile::tempdir().unwrap();
        let found = || find(&Source::Folder(folder.path()));
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(found(), None);
        let list = r#"{"chat_template": [
                {"name": "rag", "template": "r"}, {"name": "default", "template": "d"}],
            "bos_token": {"content": "<b>"}, "eos_token": "<e>", "pad_token": null}"#;
        write("tokenizer_config.json", list);
        assert_eq!(found().unwrap(), "d");
        write("chat_template.jinja", "file");
        assert_eq!(found().unwrap(), "file");
        let names = token_names(&Source::Folder(folder.path()));
        assert_eq!(names.into_values().collect::<Vec<_>>(), ["<b>", "<e>"]);
    }

    #[test]
    fn a_gguf_file_names_its_tokens_by_their_ids() {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let tokens = ["<b>", "<e>", "<u>", "<p>"].map(str::to_owned);
        let ids = ["bos", "eos", "unknown", "padding"].into_iter().zip(0..);
        let ids = ids.map(|(name, id)| (key(&format!("{name}_token_id")), Datum::Integer(id)));
        let tokens = (key("tokens"), Datum::Texts(tokens.into()));
        let metadata: GgufMetadata = ids.chain([tokens]).collect();
        let names = token_names(&Source::Gguf(&metadata));
        let expected = [("bos", "<b>"), ("eos", "<e>"), ("pad", "<p>"), ("unk", "<u>")];
        let expected = expected.map(|(name, text)| (format!("{name}_token"), text.to_owned()));
        assert_eq!(names, TokenNames::from(expected));
    }
}
