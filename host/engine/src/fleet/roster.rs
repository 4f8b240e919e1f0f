//! Whom calls can ask: the experts by their names, in the operator's order. Replaced as a whole when settings change.

use std::{collections::HashMap, sync::Arc};

use super::member::Member;

/// The experts of this moment. Of those with the same id the first counts.
pub(super) struct Roster {
    members: Vec<Arc<Member>>,
    index: HashMap<String, usize>,
}

impl Roster {
    pub(super) fn find(&self, id: &str) -> Option<&Arc<Member>> {
        self.index.get(id).map(|&at| &self.members[at])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.iter()
    }
}

impl FromIterator<Arc<Member>> for Roster {
    fn from_iter<M: IntoIterator<Item = Arc<Member>>>(members: M) -> Self {
        let members: Vec<_> = members.into_iter().collect();
        let ids = members.iter().enumerate().rev();
        let index = ids.map(|(at, member)| (member.settings.id.clone(), at)).collect();
        Self { members, index }
    }
}
