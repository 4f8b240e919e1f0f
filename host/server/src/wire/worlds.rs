//! `GET /worlds`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_policy::Contract;

use super::Word;

/// What a policy may be built against.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Worlds {
    /// Every contract that is spoken here.
    pub worlds: Vec<World>,
}

/// One contract.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct World {
    /// `signalbox:policy`.
    pub package: Word,
    /// Components that were built against a compatible version run, too: below 1.0 one with the same second number.
    pub version: Word,
    /// The interfaces that a policy may export: at least one hook, and `feedback` beside `route`.
    pub exports: Vec<String>,
    /// The interfaces that it may import; `*` stands for every one of a package.
    pub imports: Vec<Word>,
}

impl From<Contract> for Worlds {
    fn from(contract: Contract) -> Self {
        let Contract { version, exports, imports } = contract;
        let imports = imports.iter().map(|name| Word::from(*name)).collect();
        let (package, version) = ("signalbox:policy".into(), version.into());
        Self { worlds: vec![World { package, version, exports, imports }] }
    }
}
