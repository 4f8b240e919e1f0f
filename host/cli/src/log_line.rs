//! How values stand in a line of the log: on that line, whoever wrote them, and cut. Everything that
//! any room logs comes through here, so nobody can forge a line by what they call a thing.

use std::fmt::{self, Debug, Write};

use signalbox_confine::{LINE_BYTES, clean};
use tracing_subscriber::{
    field::{RecordFields, Visit},
    fmt::{FormatFields, format::Writer},
};

/// Bytes of one value.
const VALUE_BYTES_MAX: usize = 4 * LINE_BYTES;

/// Writes the message, then `name=value` for each field.
pub(crate) struct OneLine;

impl<'w> FormatFields<'w> for OneLine {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut values = Values { writer, first: true, result: Ok(()) };
        fields.record(&mut values);
        values.result
    }
}

struct Values<'w> {
    writer: Writer<'w>,
    first: bool,
    result: fmt::Result,
}

impl Visit for Values<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        let gap = if std::mem::take(&mut self.first) { "" } else { " " };
        let value = one_line(value);
        let written = match field.name() {
            "message" => write!(self.writer, "{gap}{value}"),
            name => write!(self.writer, "{gap}{}={value}", name.trim_start_matches("r#")),
        };
        self.result = self.result.and(written);
    }
}

/// A value's text; what is behind the cut is not even formatted.
fn one_line(value: &dyn Debug) -> String {
    let mut text = Start(String::new());
    // An error says that there was enough of it.
    let _ = write!(text, "{value:?}");
    clean(&text.0, VALUE_BYTES_MAX)
}

/// Takes somewhat more than a value may have, and no more.
struct Start(String);

impl Write for Start {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = (VALUE_BYTES_MAX + 8).saturating_sub(self.0.len());
        self.0.push_str(&more[..more.floor_char_boundary(room)]);
        if more.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(OneLine)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn whatever_is_logged_is_one_line_without_tricks() {
        let forged = "a\r\nERROR forged\u{1b}[31m\u{202e}";
        let message = logged(|| {
            let _span = tracing::info_span!("request", id = forged).entered();
            tracing::warn!(expert = %forged, known = ?forged, number = 7, "{forged}");
        });
        let plain = r"a\r\nERROR forged\u{1b}[31m\u{202e}";
        let expect = format!(
            " WARN request{{id=\"{plain}\"}}: {plain} expert={plain} known=\"{plain}\" number=7\n"
        );
        assert_eq!(message, expect);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let long = "é".repeat(1 << 20);
        let message = logged(|| tracing::warn!(id = %long, "{long}"));
        assert_eq!(message.matches('…').count(), 2);
        assert!(message.len() < 2 * VALUE_BYTES_MAX + 100, "{}", message.len());
    }
}
