//! Other hosts in native tests: they answer as the test has them answer.

use std::time::Duration;

use super::WORLD;
use crate::exchange::{Error, Place, Request, Response};

/// Where no test says otherwise, nobody may be asked: so it is where a host lists nobody.
pub(crate) fn send(request: &Request, _: &Place<'_>, _: Duration) -> Result<Response, Error> {
    // Put back behind the answer, since whoever answers may look at the world, too.
    let Some(mut answering) = WORLD.with_borrow_mut(|world| world.http.take()) else {
        return Err(Error::Denied);
    };
    let answer = answering(request);
    WORLD.with_borrow_mut(|world| {
        world.http.get_or_insert(answering);
    });
    answer
}
