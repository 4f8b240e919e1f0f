//! What passes by itself: a lack of descriptors, threads or memory is no fault of an expert's files, so
//! it is distinguished from damage and tried again.

use std::io;

use rustix::io::Errno;

/// Whether the operating system may well say something else next time.
pub(crate) fn passes(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::MFILE
                | Errno::NFILE
                | Errno::NOMEM
                | Errno::NOBUFS
                | Errno::AGAIN
                | Errno::INTR
                | Errno::BUSY
                | Errno::TIMEDOUT
                | Errno::STALE
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_failures_are_distinguished_from_damage() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::INTR] {
            assert!(passes(&errno.into()), "{errno}");
        }
        for errno in [Errno::IO, Errno::NOENT, Errno::ACCESS, Errno::ISDIR, Errno::INVAL] {
            assert!(!passes(&errno.into()), "{errno}");
        }
        assert!(!passes(&io::Error::other("EMFILE")));
    }
}
