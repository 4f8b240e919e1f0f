//! Keeping the packed weights of a checkpoint: its pack file is looked for in every place that it may be in, and made
//! in the first that takes it.

use std::path::{Path, PathBuf};

use signalbox_kernels::Compute;

use super::{
    arrangement::Arrangement,
    fill::{self, Failure},
    load::Loader,
    pack_file::{self, Draft, Identity, PackFile, Unsettled, Unusable},
    plan::Plan,
};
use crate::{
    files::{Catalogue, CheckpointError, Kind},
    pack_progress::{Counting, Report},
    settings::PackFiles,
};

/// How weights are loaded.
#[derive(Clone, Copy)]
pub(crate) struct Loading<'a> {
    /// What they will be multiplied by.
    pub(crate) compute: &'a Compute,
    /// Where they are kept packed.
    pub(crate) kept: &'a PackFiles,
    /// What is kept already is made anew.
    pub(crate) anew: bool,
    /// Told while they are packed.
    pub(crate) report: Report<'a>,
}

/// One checkpoint, with the places that its pack file may be in.
pub(super) struct Keeping<'a> {
    plan: &'a Plan,
    catalogue: &'a Catalogue,
    arrangement: Arrangement,
    identity: Identity,
    /// The best first.
    places: Vec<PathBuf>,
    how: Loading<'a>,
    /// Large enough to be kept.
    pays: bool,
}

impl<'a> Keeping<'a> {
    /// `None` where nothing is kept. `variant` distinguishes plans of one checkpoint.
    pub(super) fn new(
        plan: &'a Plan,
        catalogue: &'a Catalogue,
        path: &Path,
        variant: &str,
        how: Loading<'a>,
    ) -> Result<Option<Self>, CheckpointError> {
        let PackFiles::Kept { cache, bytes_min } = how.kept else { return Ok(None) };
        let arrangement = Arrangement::of(plan, how.compute);
        let identity = Identity::of(plan, &arrangement, catalogue)?;
        let places = pack_file::places(path, variant, cache.as_deref());
        let pays = arrangement.bytes as u64 >= *bytes_min;
        Ok(Some(Self { plan, catalogue, arrangement, identity, places, how, pays }))
    }

    /// The file of a load: found or made. `None` where there is none, of which the log says why.
    pub(super) fn open(&self) -> Result<Option<(PackFile, Option<Unsettled>)>, CheckpointError> {
        if !self.how.anew
            && let Some((_, file)) = self.find()
        {
            return Ok(Some((file, None)));
        }
        if !self.pays {
            return Ok(None);
        }
        match self.make() {
            Ok((file, unsettled)) => Ok(Some((file, Some(unsettled)))),
            Err(Failure::Checkpoint(error)) => Err(error),
            Err(Failure::File(error)) => {
                pack_file::not_kept(self.place(), &error);
                Ok(None)
            }
        }
    }

    /// A sound file.
    pub(super) fn find(&self) -> Option<(&Path, PackFile)> {
        let found = self.places.iter().filter_map(|place| {
            match PackFile::open(place, &self.identity, &self.arrangement, self.how.compute) {
                Ok(file) => Some((place.as_path(), file)),
                Err(Unusable::Missing) => None,
                Err(why) => {
                    tracing::warn!(file = %place.display(), "pack file {why}; it is not used");
                    None
                }
            }
        });
        { found }.next()
    }

    /// Packs the weights into a file.
    pub(super) fn make(&self) -> Result<(PackFile, Unsettled), Failure> {
        let mut failed = None;
        for place in &self.places {
            match self.make_at(place) {
                Err(Failure::File(error)) => failed = failed.or(Some(Failure::File(error))),
                made => return made,
            }
        }
        Err(failed.unwrap_or_else(|| Failure::File(std::io::ErrorKind::NotFound.into())))
    }

    fn make_at(&self, place: &Path) -> Result<(PackFile, Unsettled), Failure> {
        if let Some(folder) = place.parent().filter(|folder| !folder.exists()) {
            pack_file::make_folder(folder).map_err(Failure::File)?;
        }
        let draft = Draft::begin(place, &self.arrangement).map_err(Failure::File)?;
        tracing::info!(file = %place.display(), "weights are packed");
        let counting = Counting::of(self.arrangement.bytes, self.how.report);
        let loader = Loader::new(self.catalogue);
        fill::write(self.plan, loader, self.how.compute, &draft, &counting)?;
        draft.finish(&self.identity, &self.arrangement).map_err(Failure::File)
    }

    /// Bytes of all matrices.
    pub(super) fn bytes(&self) -> u64 {
        self.arrangement.bytes as u64
    }

    /// An error for a caller who needs the file.
    pub(super) fn refused(&self, error: &std::io::Error) -> CheckpointError {
        let problem = format!("packed weights can't be kept here: {error}");
        let mend = "free some disk, or name a folder that can be written in pack_files.cache_dir";
        CheckpointError::new(Kind::Unreadable, self.place(), problem, mend)
    }

    /// Where it should be.
    fn place(&self) -> &Path {
        self.places.first().map_or(Path::new(""), PathBuf::as_path)
    }
}
