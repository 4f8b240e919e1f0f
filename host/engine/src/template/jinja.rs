//! The interpreter: Jinja as `transformers` sets it up. It counts instructions and output, but not the
//! memory and the depth of what it runs, so foreign templates are for a child process.

use std::io;

use minijinja::{Environment, Error, ErrorKind, Value, context, value::Kwargs};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use time::{OffsetDateTime, format_description::parse_strftime_owned};

use super::{Problem, Shown, TokenNames, source::normalised};

/// Instructions one rendering may execute: thousands of turns, well under a second.
const FUEL: u64 = 5_000_000;
/// The one template of each environment.
const NAME: &str = "chat";
/// A compiled template.
pub(super) struct Jinja {
    environment: Environment<'static>,
    output_bytes_max: u64,
}

impl Jinja {
    /// Compiles a template; the problem is the compiler's own words.
    pub(super) fn compile(
        source: &str,
        names: &TokenNames,
        output_bytes_max: u64,
    ) -> Result<Self, Problem> {
        let mut environment = environment(names);
        environment
            .add_template_owned(NAME, normalised(source))
            .map_err(|error| Problem::Failed(error.to_string()))?;
        Ok(Self { environment, output_bytes_max })
    }

    /// The prompt for this conversation.
    pub(super) fn render(&self, shown: &Shown) -> Result<String, Problem> {
        // `documents` is defined and none, as transformers passes it.
        let context = context! {
            messages => Value::from_serialize(&shown.turns),
            tools => Value::from_serialize(&shown.tools), documents => (),
            add_generation_prompt => shown.add_generation_prompt,
        };
        let mut output = Bounded { bytes: Vec::new(), bytes_max: self.output_bytes_max };
        let problem = |error| problem(&error, self.output_bytes_max);
        let template = self.environment.get_template(NAME).map_err(problem)?;
        template.render_captured_to(context, &mut output).map_err(problem)?;
        String::from_utf8(output.bytes).map_err(|error| Problem::Failed(error.to_string()))
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

/// Marks an error as the template's own refusal, and no mistake in it.
#[derive(Debug, thiserror::Error)]
#[error("raised by the template")]
struct Raised;

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message).with_source(Raised))
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
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: u64,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `raise_exception` was given, or what went wrong and where.
fn problem(error: &Error, output_bytes_max: u64) -> Problem {
    let source = std::error::Error::source(error);
    let raised = source.is_some_and(|source| source.is::<Raised>());
    match (error.kind(), error.detail()) {
        (_, detail) if raised => Problem::Raised(detail.unwrap_or_default().to_owned()),
        (ErrorKind::OutOfFuel, _) => {
            Problem::Unbounded(format!("it takes more than {FUEL} instructions of fuel"))
        }
        (ErrorKind::WriteFailure, _) => Problem::TooLong { bytes_max: output_bytes_max },
        (ErrorKind::InvalidOperation, Some(detail)) => Problem::Failed(detail.to_owned()),
        _ => Problem::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expect: &str) {
        let jinja = Jinja::compile(source, &TokenNames::new(), 1 << 20).unwrap();
        assert_eq!(jinja.render(&Shown::default()).unwrap(), expect, "{source:?}");
    }

    #[test]
    fn lines_end_as_jinja_reads_them() {
        check("{% if true %}\r\na\r\nb\rc{% endif %}\r\n", "a\nb\nc");
    }

    #[test]
    fn percent_signs_format_strings() {
        check("{{ '<|%s|>' % 'user' }}{{ 7 % 4 }}", "<|user|>3");
        check("{%- set x = 'a' %}{{ '%s-%d' % (x, 2) + '!' }}", "a-2!");
        check("{{ \"%s\" % x|default('z') }} {{ 'it\\'s %s' % 'a' }}", "z it's a");
        check("{% set a = {'b': ['c']} %}{{ '[%s]' % a['b'][0] }}%", "[c]%");
        check("{{ '100%' }}{% if '%' %}{{ '%s' % '-%s' % 'n' }}{% endif %}", "100%-n");
        check("{# '%s' % #}{{ ('%s' % 'a') ~ '%s' % ('b') }}", "ab");
    }

    #[test]
    fn marks_of_training_show_what_they_hold() {
        check("a {% generation %}b{% endgeneration %} c", "a b c");
        check("a {%- generation -%} b {%- endgeneration -%} c", "abc");
        check("{{ 'generation' }}{% set generation = 1 %}{{ generation }}", "generation1");
    }
}
