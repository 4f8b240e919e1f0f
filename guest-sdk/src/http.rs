//! Asking other hosts over HTTP: those that the operator lists for this policy (`policies.http_hosts`), and nobody else.
//!
//! A request waits for its answer, and what it waits is the host's time, not the policy's own. The host bounds how many requests
//! a call may send, how large they and their answers are, and how long they take together (`policies.limits.http_*`). Redirects
//! are answers like others. Nothing is sent while a component is probed, in shadow or in a replay: be ready for an
//! error, and think of what the call is to become then.
//!
//! ```
//! use std::time::Duration;
//! use signalbox_sdk::{http, testing};
//!
//! testing::answer_http(|request| match request.url() {
//!     "https://example.com/words" => Ok(http::Response::new(200, "hello")),
//!     _ => Err(http::Error::Denied),
//! });
//! let asked = http::Request::post("https://example.com/words").header("x-team", "search").body("{}");
//! let answer = asked.send(Duration::from_secs(1))?;
//! assert_eq!((answer.status(), answer.body()), (200, &b"hello"[..]));
//! let elsewhere = http::Request::get("https://example.org/").send(Duration::from_secs(1));
//! assert_eq!(elsewhere.unwrap_err(), http::Error::Denied);
//! # Ok::<(), http::Error>(())
//! ```

use std::time::Duration;

pub use crate::exchange::{Error, Request, Response};

use crate::exchange::Place;
use crate::host;

impl Request {
    /// Sends it and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// When there is none within the time.
    pub fn send(&self, within: Duration) -> Result<Response, Error> {
        let to = Place::read(self.url())?;
        let answer = host::send(self, &to, within)?;
        if answer.body().len() > self.most() {
            return Err(Error::TooLarge);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_size_that_the_policy_takes() {
        crate::testing::answer_http(|_| Ok(Response::new(200, "four").with_header("X-A", "b")));
        let asked = |most| Request::get("https://example.com/").at_most(most).send(Duration::ZERO);
        assert_eq!(asked(4).unwrap().header("x-a"), Some("b"));
        assert_eq!(asked(3), Err(Error::TooLarge));
    }
}
