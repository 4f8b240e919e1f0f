//! Weight files that change under the reader: the process lives, and what is loaded belongs together.

use signalbox_kernels::Compute;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, mknodat};
use tempfile::TempDir;

use super::{Checkpoint, copy, logits_of, small::Small};
use crate::files::Kind;

const WEIGHTS: &str = "model.safetensors";

fn small() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    Small::llama().write_folder(folder.path());
    let file = folder.path().join(WEIGHTS);
    // Written long ago, so that any write gives it another time.
    let opened = File::options().append(true).open(&file).unwrap();
    opened.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    (folder, file)
}

/// Changes the file between the reading of its header and that of its weights.
fn check(change: impl FnOnce(&Path), expect: Option<Kind>) {
    let (folder, file) = small();
    let untouched =
        logits_of(&Checkpoint::open(folder.path()).unwrap().load(&Compute::serving()).unwrap());
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    change(&file);
    match (checkpoint.load(&Compute::serving()), expect) {
        (Ok(model), None) => assert_eq!(logits_of(&model), untouched),
        (Err(error), Some(kind)) => {
            assert_eq!(error.kind, kind, "{error}");
            assert_eq!(error.file, file, "{error}");
        }
        (loaded, expect) => panic!("{:?} where {expect:?} was expected", loaded.err()),
    }
}

#[test]
fn a_file_that_is_written_to_is_refused_by_name() {
    let length = |path: &Path| fs::metadata(path).unwrap().len();
    let resize = |path: &Path, bytes| {
        File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
    };
    check(|path| resize(path, 0), Some(Kind::Changed));
    check(|path| resize(path, 8), Some(Kind::Changed));
    check(|path| resize(path, length(path) / 2), Some(Kind::Changed));
    check(|path| resize(path, length(path) + 1), Some(Kind::Changed));
    check(
        |path| {
            let same = fs::read(path).unwrap();
            fs::write(path, same).unwrap();
        },
        Some(Kind::Changed),
    );
}

#[test]
fn a_file_that_is_replaced_or_deleted_is_read_to_its_end() {
    check(|path| fs::remove_file(path).unwrap(), None);
    check(
        |path| {
            let aside = path.with_extension("aside");
            fs::write(&aside, "something else").unwrap();
            fs::rename(aside, path).unwrap();
        },
        None,
    );
}

#[test]
fn what_is_loaded_needs_its_files_no_more() {
    let (folder, file) = small();
    let model = Checkpoint::open(folder.path()).unwrap().load(&Compute::serving()).unwrap();
    let before = logits_of(&model);
    File::options().write(true).open(file).unwrap().set_len(0).unwrap();
    assert_eq!(logits_of(&model), before);
}

#[test]
fn pipes_and_devices_are_no_weights() {
    let (folder, file) = small();
    let refused = || {
        let error = Checkpoint::open(folder.path()).err().unwrap();
        assert_eq!((error.kind, &error.file), (Kind::Malformed, &file), "{error}");
        fs::remove_file(&file).unwrap();
    };
    fs::remove_file(&file).unwrap();
    mknodat(CWD, &file, FileType::Fifo, 0o600.into(), 0).unwrap();
    refused();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    refused();
}

#[test]
fn a_writer_that_never_rests_ends_nothing() {
    let folder = copy("gemma3_multimodal");
    let shard = folder.path().join("model-00001-of-00002.safetensors");
    let whole = fs::read(&shard).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(&shard).unwrap();
            for bytes in [0, 8, 1000, whole.len() / 2].into_iter().cycle() {
                file.set_len(bytes as u64).unwrap();
                fs::write(&shard, &whole).unwrap();
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..50 {
            let loaded =
                Checkpoint::open(folder.path()).and_then(|opened| opened.load(&Compute::serving()));
            if let Err(error) = loaded {
                assert!(error.file.starts_with(folder.path()), "{error}");
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(
        Checkpoint::open(folder.path()).and_then(|opened| opened.load(&Compute::serving())).is_ok()
    );
}
