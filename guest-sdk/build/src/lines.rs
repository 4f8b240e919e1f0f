//! Other programs, and what they print, line by line.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

/// How many of a program's last lines an error repeats.
const LINES_IN_ERROR: usize = 40;

/// How a program ended.
pub(crate) struct Ended {
    /// It and its arguments.
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    /// What it printed on standard output.
    pub(crate) out: String,
    /// What it printed on standard error.
    pub(crate) lines: Vec<String>,
}

impl Ended {
    /// The last lines of standard error.
    pub(crate) fn tail(&self) -> String {
        self.lines[self.lines.len().saturating_sub(LINES_IN_ERROR)..].join("\n")
    }
}

/// Runs a program to its end; `say` gets its lines on standard error as they come.
pub(crate) fn run(command: &mut Command, say: &mut dyn FnMut(&str)) -> io::Result<Ended> {
    let spawned =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned?;
    let out = read_out(&mut child);
    let lines = follow(&mut child, say);
    let status = child.wait()?;
    let out = out.join().unwrap_or_default();
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    Ok(Ended { command: words.join(" "), status, out, lines })
}

/// Programs write to both streams at once; one of the two needs a thread.
fn read_out(child: &mut Child) -> thread::JoinHandle<String> {
    let stdout = child.stdout.take();
    thread::spawn(move || {
        let mut text = Vec::new();
        // What can't be read is missing, and whoever needs it says so.
        _ = stdout.map(|mut stdout| stdout.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn follow(child: &mut Child, say: &mut dyn FnMut(&str)) -> Vec<String> {
    let lines = child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines());
    lines.map_while(Result::ok).inspect(|line| say(line)).collect()
}
