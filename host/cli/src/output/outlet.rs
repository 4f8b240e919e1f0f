//! One stream with a bounded queue and a thread that writes: whoever prints never waits.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use signalbox_server::LOG_LINES_DROPPED;

/// Bytes that wait to be written; lines beyond are dropped and counted.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// What a waiting line takes beside its bytes.
const LINE_OVERHEAD: usize = 64;
/// Between two tries on a stream that somebody has set to non-blocking.
const BLOCKED_PAUSE: Duration = Duration::from_millis(20);

/// Lines on their way to a stream.
pub(super) struct Outlet {
    queue: Mutex<Queue>,
    moved: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// A line has been taken and is not written yet.
    writing: bool,
    /// Lines dropped since the reader was last informed of any.
    dropped: u64,
}

impl Outlet {
    /// Begins to write to `stream`, on a thread of this name that lives as long as the process.
    pub(super) fn start(
        name: &str,
        mut stream: impl Write + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let outlet = Arc::new(Self { queue: Mutex::default(), moved: Condvar::new() });
        let writer = outlet.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            loop {
                let line = writer.next();
                let written = write_line(&mut stream, &line);
                let dropped = writer.settle(written.is_ok());
                if dropped > 0 && write_line(&mut stream, notice(dropped).as_bytes()).is_err() {
                    writer.queue().dropped += dropped;
                }
            }
        })?;
        Ok(outlet)
    }

    /// Takes a line along, or drops and counts it when too much waits already.
    pub(super) fn put(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.bytes + line.len() + LINE_OVERHEAD > QUEUE_BYTES_MAX {
            queue.drop_line();
            return;
        }
        queue.bytes += line.len() + LINE_OVERHEAD;
        queue.lines.push_back(line.to_vec());
        drop(queue);
        self.moved.notify_all();
    }

    /// Waits until all is written, but not longer than `within`.
    pub(super) fn flush(&self, within: Duration) {
        let until = Instant::now() + within;
        let mut queue = self.queue();
        while queue.writing || !queue.lines.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.moved.wait_timeout(queue, left);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut queue = self.queue();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len() + LINE_OVERHEAD;
                queue.writing = true;
                return line;
            }
            queue = self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Enters how a write went; answers how many missing lines have to be reported.
    fn settle(&self, written: bool) -> u64 {
        let mut queue = self.queue();
        queue.writing = false;
        let dropped = if written { std::mem::take(&mut queue.dropped) } else { 0 };
        if !written {
            queue.drop_line();
        }
        drop(queue);
        self.moved.notify_all();
        dropped
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn drop_line(&mut self) {
        self.dropped += 1;
        LOG_LINES_DROPPED.fetch_add(1, Relaxed);
    }
}

fn notice(dropped: u64) -> String {
    format!("signalbox: {dropped} lines before this one could not be written and are lost\n")
}

/// `write_all` that also has patience with a stream in non-blocking mode.
fn write_line(stream: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match stream.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => line = &line[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(BLOCKED_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A stream that does with each write as instructed, and passes on what was written.
    struct Instructed {
        orders: Receiver<io::Result<usize>>,
        written: SyncSender<Vec<u8>>,
    }

    impl Write for Instructed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = self.orders.recv().map_err(|_| io::Error::from(ErrorKind::BrokenPipe))??;
            let taken = most.min(bytes.len());
            self.written.send(bytes[..taken].to_vec()).unwrap();
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn outlet() -> (Arc<Outlet>, SyncSender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let (order, orders) = sync_channel(100);
        let (written, read) = sync_channel(100);
        (Outlet::start("message", Instructed { orders, written }).unwrap(), order, read)
    }

    fn line(read: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(read.recv_timeout(Duration::from_secs(20)).unwrap()).unwrap()
    }

    #[test]
    fn lines_arrive_whole_through_interruptions_and_short_writes() {
        let (outlet, order, read) = outlet();
        for message in
            [Err(ErrorKind::Interrupted.into()), Ok(3), Err(ErrorKind::WouldBlock.into())]
        {
            order.send(message).unwrap();
        }
        order.send(Ok(100)).unwrap();
        outlet.put(b"a line\n");
        outlet.flush(Duration::from_secs(20));
        assert_eq!([line(&read), line(&read)].concat(), "a line\n");
    }

    #[test]
    fn a_stream_that_fails_costs_lines_and_says_how_many_when_it_recovers() {
        let (outlet, order, read) = outlet();
        for word in ["one\n", "two\n"] {
            outlet.put(word.as_bytes());
            order.send(Err(ErrorKind::StorageFull.into())).unwrap();
        }
        outlet.put(b"three\n");
        order.send(Ok(100)).unwrap();
        order.send(Ok(100)).unwrap();
        assert_eq!(line(&read), "three\n");
        assert_eq!(line(&read), notice(2));
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up() {
        let (outlet, order, read) = outlet();
        let long = vec![b'x'; QUEUE_BYTES_MAX / 4];
        for _ in 0..9 {
            outlet.put(&long);
        }
        outlet.flush(Duration::from_millis(1));
        let queue = outlet.queue();
        assert!(queue.bytes <= QUEUE_BYTES_MAX && queue.dropped >= 5, "{}", queue.dropped);
        drop(queue);
        order.send(Ok(usize::MAX)).unwrap();
        order.send(Ok(usize::MAX)).unwrap();
        assert_eq!(line(&read).len(), long.len());
        assert!(line(&read).contains("could not be written"));
    }
}
