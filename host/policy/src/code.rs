//! From machine code to a runnable component: the one place where bytes become instructions of this
//! process, so the one place that has to know where they come from.

use serde::{Deserialize, Serialize};
use wasmtime::{Engine, component::Component};

use crate::surface::Surface;

/// Machine code of a component with what was read from the component itself. Made by
/// [`compile`](crate::compile) of this very program, in this process or in a child of it; or read
/// from the code cache, which is signed with a secret of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code(Vec<u8>);

/// What stands before the machine code.
#[derive(Serialize, Deserialize)]
struct Head {
    surface: Surface,
}

impl Code {
    pub(crate) fn new(surface: Surface, machine: &[u8]) -> serde_json::Result<Code> {
        frame(&Head { surface }, machine).map(Code)
    }

    /// Takes bytes for code.
    ///
    /// Whoever calls this vouches for their origin: [`Code::bytes`] of code that this program made,
    /// unchanged since.
    pub(crate) fn vouched(bytes: Vec<u8>) -> Code {
        Code(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Makes it runnable. The error is for people.
    pub(crate) fn load(&self, engine: &Engine) -> Result<(Surface, Component), String> {
        let (Head { surface }, machine) = unframe(&self.0)?;
        // SAFETY: the bytes are what `precompile_component` of this program made of a component
        // that it had validated; see `Code` for how that is known. They are copied, so nothing
        // changes them later, and the engine itself refuses code of another version or setting.
        #[expect(unsafe_code, reason = "the engine can't know where code comes from; we do")]
        let component = unsafe { Component::deserialize(engine, machine) };
        Ok((surface, component.map_err(|error| format!("{error:#}"))?))
    }
}

/// A head and a body in one piece: the length of the head, the head as JSON, the body.
pub(crate) fn frame(head: &impl Serialize, body: &[u8]) -> serde_json::Result<Vec<u8>> {
    let head = serde_json::to_vec(head)?;
    let mut bytes = Vec::with_capacity(8 + head.len() + body.len());
    bytes.extend((head.len() as u64).to_le_bytes());
    bytes.extend(head);
    bytes.extend(body);
    Ok(bytes)
}

/// Takes [`frame`] apart; the error is for people.
pub(crate) fn unframe<'b, H: Deserialize<'b>>(bytes: &'b [u8]) -> Result<(H, &'b [u8]), String> {
    let torn = || "it is torn".to_owned();
    let (length, rest) = bytes.split_first_chunk().ok_or_else(torn)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| torn())?;
    let (head, body) = rest.split_at_checked(length).ok_or_else(torn)?;
    let head = serde_json::from_slice(head).map_err(|error| error.to_string())?;
    Ok((head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_apart_again_and_a_torn_one_is_reported() {
        let framed = frame(&"head", b"body").unwrap();
        assert_eq!(unframe::<&str>(&framed).unwrap(), ("head", &b"body"[..]));
        for end in 0..framed.len() - b"body".len() {
            assert!(unframe::<&str>(&framed[..end]).is_err(), "{end}");
        }
        assert!(unframe::<&str>(&[0xff; 32]).is_err());
    }
}
