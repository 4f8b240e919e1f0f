//! The child's side: take the limits, then answer until the parent is gone.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a child: its streams, and what opening a file takes.
const DESCRIPTORS: u64 = 64;

/// Serves the parent on standard input and output until it closes them: sets the limits it asks
/// for, then answers each request with what `work` makes of it. `Err` refuses the request in the
/// work's own words; the child goes on.
///
/// # Errors
/// Limits that can't be set, in which case nothing was done; streams that broke.
pub fn serve(mut work: impl FnMut(&[u8]) -> Result<Vec<u8>, String>) -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let memory_bytes = word(&mut input)?;
    let cpu = Duration::from_secs(word(&mut input)?);
    limit(Resource::As, memory_bytes)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, DESCRIPTORS)?;
    loop {
        let length = match word(&mut input) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            length => length?,
        };
        let mut request = Vec::new();
        let read = (&mut input).take(length).read_to_end(&mut request)?;
        if (read as u64) < length {
            return Ok(()); // the parent left in the middle
        }
        grant(cpu)?;
        let (refused, answer) = match work(&request) {
            Ok(answer) => (0, answer),
            Err(words) => (1, words.into_bytes()),
        };
        output.write_all(&[refused])?;
        output.write_all(&(answer.len() as u64).to_le_bytes())?;
        output.write_all(&answer)?;
        output.flush()?;
    }
}

fn word(input: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Lowers a limit to at most `value`; what is lower already stays.
fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let value = getrlimit(resource).maximum.map_or(value, |hard| hard.min(value));
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    Ok(())
}

/// Processor time for one more request, counted from what was used up to now.
fn grant(cpu: Duration) -> io::Result<()> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = used.tv_sec as u64 + 1 + cpu.as_secs();
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = maximum.map_or(seconds, |hard| hard.min(seconds));
    setrlimit(Resource::Cpu, Rlimit { current: Some(current), maximum })?;
    Ok(())
}
