//! Questions that may be compared, with their answers, as one value of the bucket: newest last, each with the second in which
//! it ends.

use crate::question::Question;

/// Bytes of a group; the oldest give way.
const GROUP_BYTES: usize = 128 << 10;
/// Entries of a group.
const ENTRIES: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) end: u64,
    pub(crate) question: Question,
    pub(crate) answer: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Group(pub(crate) Vec<Entry>);

impl Group {
    /// What of it has not ended.
    pub(crate) fn lives(mut self, now: u64) -> Self {
        self.0.retain(|entry| entry.end > now);
        self
    }

    /// The answer to the nearest question that is as near as that.
    pub(crate) fn nearest(&self, question: &Question, threshold: f32) -> Option<&str> {
        let near = self.0.iter().filter_map(|entry| Some((entry, question.near(&entry.question)?)));
        let near = near.filter(|(_, cosine)| *cosine >= threshold);
        near.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(entry, _)| entry.answer.as_str())
    }

    /// The same with one more.
    pub(crate) fn with(mut self, entry: Entry) -> Self {
        self.0.push(entry);
        while self.0.len() > ENTRIES || self.0.len() > 1 && self.written().len() > GROUP_BYTES {
            self.0.remove(0);
        }
        self
    }

    /// As it lies in the bucket.
    pub(crate) fn written(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |part: &[u8]| {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part);
        };
        for Entry { end, question, answer } in &self.0 {
            let vector: Vec<u8> = question.vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            put(&end.to_le_bytes());
            put(question.exact.as_bytes());
            put(&vector);
            put(answer.as_bytes());
        }
        bytes
    }

    /// What was written; `None` for anything else.
    pub(crate) fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut entries = Vec::new();
        let mut part = || -> Option<Option<&[u8]>> {
            if bytes.is_empty() {
                return Some(None);
            }
            let (length, rest) = bytes.split_first_chunk()?;
            let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            bytes = rest;
            Some(Some(part))
        };
        while let Some(end) = part()? {
            let end = u64::from_le_bytes(end.try_into().ok()?);
            let exact = String::from_utf8(part()??.to_vec()).ok()?;
            let (numbers, []) = part()??.as_chunks() else { return None };
            let vector = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let answer = String::from_utf8(part()??.to_vec()).ok()?;
            entries.push(Entry { end, question: Question { vector, exact }, answer });
        }
        Some(Self(entries))
    }
}
