//! `--logits`: every position's logits in a file, written as they come. A vocabulary has hundreds of
//! thousands of entries, so no more than one position is in memory.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

/// A file under way. It has its name only when it is whole.
pub(super) struct Record {
    to: PathBuf,
    out: BufWriter<NamedTempFile>,
    rows: usize,
}

impl Record {
    pub(super) fn begin(to: &Path, ids: &[u32]) -> Result<Self> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let aside = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
        let aside = aside.with_context(|| unwritable(to))?;
        let mut record = Self { to: to.to_owned(), out: BufWriter::new(aside), rows: 0 };
        let head = serde_json::to_string(ids)?;
        write!(record.out, "{{\"ids\": {head}, \"logits\": [").with_context(|| unwritable(to))?;
        Ok(record)
    }

    /// One more position, every number with all its digits.
    pub(super) fn write(&mut self, logits: &[f32]) -> Result<()> {
        let odd = logits.iter().find(|logit| !logit.is_finite());
        let (row, file) = (self.rows, self.to.display());
        ensure!(
            odd.is_none(),
            "position {row} has a logit of {}, which {file} can't hold",
            odd.unwrap_or(&0.0)
        );
        let separator = if self.rows == 0 { "\n" } else { ",\n" };
        self.rows += 1;
        let written = self.out.write_all(separator.as_bytes()).map_err(anyhow::Error::from);
        written
            .and_then(|()| Ok(serde_json::to_writer(&mut self.out, logits)?))
            .with_context(|| unwritable(&self.to))
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<()> {
        let to = self.to;
        self.out.write_all(b"\n]}\n").with_context(|| unwritable(&to))?;
        let file = self.out.into_inner().with_context(|| unwritable(&to))?;
        file.as_file().sync_all().with_context(|| unwritable(&to))?;
        file.persist(&to).with_context(|| unwritable(&to))?;
        Ok(())
    }
}

fn unwritable(file: &Path) -> String {
    format!("{} can't be written", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_all_their_digits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("logits.json");
        let rows = [[1.0f32 / 3.0, -1e-30, f32::MAX], [16_777_217.0, 0.1, -0.0]];
        let mut record = Record::begin(&file, &[7, 8]).unwrap();
        for row in &rows {
            record.write(row).unwrap();
        }
        assert!(!file.exists(), "half a file has no name");
        record.finish().unwrap();
        let read: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(read["ids"], serde_json::json!([7, 8]));
        let logits: Vec<Vec<f32>> = serde_json::from_value(read["logits"].clone()).unwrap();
        assert_eq!(logits, rows);
    }

    #[test]
    fn what_json_can_not_say_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::begin(&folder.path().join("a.json"), &[7]).unwrap();
        let message = record.write(&[0.0, f32::NAN]).unwrap_err().to_string();
        assert!(message.contains("position 0 has a logit of NaN"), "{message}");
    }
}
