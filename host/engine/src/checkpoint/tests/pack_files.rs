//! Pack files: what is loaded out of one is what was packed, whatever state they and their folders are in.

use std::{
    fs::{self, File},
    io::Read,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use signalbox_kernels::Compute;
use tempfile::TempDir;

use super::{Checkpoint, copy, logits_of, small::Small};
use crate::{
    checkpoint::{Loading, Prepacked, Result},
    files::Kind,
    settings::{Bits, PackFiles},
};

const PACK: &str = "signalbox-weights.pack";
const WEIGHTS: &str = "model.safetensors";

fn beside() -> PackFiles {
    PackFiles::Kept { cache: None, bytes_min: 0 }
}

/// What a load gives, and whether it packed.
fn load(path: &Path, kept: &PackFiles) -> Result<(Vec<Vec<f32>>, bool)> {
    load_as(&Checkpoint::open(path)?, kept)
}

fn load_as(checkpoint: &Checkpoint, kept: &PackFiles) -> Result<(Vec<Vec<f32>>, bool)> {
    let packed = AtomicBool::new(false);
    let report = |_| packed.store(true, Ordering::Relaxed);
    let compute = Compute::serving();
    let how = Loading { compute: &compute, kept, anew: false, report: &report };
    let ready = checkpoint.load_with(how)?;
    let logits = logits_of(&ready.model);
    if let Some(unsettled) = ready.unsettled {
        unsettled.settle().unwrap();
    }
    Ok((logits, packed.into_inner()))
}

fn prepack(path: &Path, kept: &PackFiles) -> Result<Option<Prepacked>> {
    let compute = Compute::serving();
    let how = Loading { compute: &compute, kept, anew: false, report: &|_| {} };
    Checkpoint::open(path)?.prepack(how)
}

/// Names in a folder that have to do with packing.
fn left(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains("signalbox")).collect();
    names.sort();
    names
}

fn set_age(file: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::open(file).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_second_load_maps_what_the_first_has_packed() {
    for toy in ["phi4_fast", "qwen_coder", "gemma3_multimodal", "mistral_balanced"] {
        let folder = copy(toy);
        let (expect, packed) = load(folder.path(), &PackFiles::Off).unwrap();
        assert!(packed && left(folder.path()).is_empty());
        assert_eq!(load(folder.path(), &beside()).unwrap(), (expect.clone(), true), "{toy}");
        assert_eq!(load(folder.path(), &beside()).unwrap(), (expect.clone(), false), "{toy}");
        assert_eq!(left(folder.path()), [PACK]);
        let mode = fs::metadata(folder.path().join(PACK)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o444);
        let small = PackFiles::Kept { cache: None, bytes_min: 1 << 40 };
        assert_eq!(load(folder.path(), &small).unwrap(), (expect, false), "used, though small");
    }
}

#[test]
fn weights_that_are_small_are_not_kept() {
    let folder = copy("phi4_fast");
    let small = PackFiles::Kept { cache: None, bytes_min: 1 << 30 };
    assert!(load(folder.path(), &small).unwrap().1);
    assert!(left(folder.path()).is_empty());
}

/// Whatever `spoil` does to the bytes of a pack file, it is not used, and made anew.
fn check_made_anew(what: &str, spoil: impl FnOnce(&mut Vec<u8>)) {
    let folder = copy("phi4_fast");
    let (expect, _) = load(folder.path(), &beside()).unwrap();
    let pack = folder.path().join(PACK);
    let mut bytes = fs::read(&pack).unwrap();
    spoil(&mut bytes);
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    assert_eq!(load(folder.path(), &beside()).unwrap(), (expect.clone(), true), "{what}");
    assert_eq!(load(folder.path(), &beside()).unwrap(), (expect, false), "{what}: not mended");
    assert_eq!(left(folder.path()), [PACK]);
}

#[test]
fn a_damaged_or_foreign_file_is_made_anew() {
    check_made_anew("empty", Vec::clear);
    check_made_anew("cut within the header", |bytes| bytes.truncate(50));
    check_made_anew("cut behind the header", |bytes| bytes.truncate(5000));
    check_made_anew("short of a byte", |bytes| bytes.truncate(bytes.len() - 1));
    check_made_anew("too long", |bytes| bytes.push(0));
    check_made_anew("something else", |bytes| bytes.fill(b'x'));
    check_made_anew("of another version", |bytes| bytes[8] += 1);
    check_made_anew("of another byte order", |bytes| bytes[12..16].reverse());
    check_made_anew("of another layout", |bytes| bytes[16] ^= 1);
    check_made_anew("of other weights", |bytes| bytes[40] ^= 1);
    check_made_anew("another length in its header", |bytes| bytes[64] ^= 1);
    check_made_anew("another checksum", |bytes| bytes[80] ^= 1);
    check_made_anew("a first bit flipped", |bytes| bytes[4096] ^= 1);
    check_made_anew("a last bit flipped", |bytes| *bytes.last_mut().unwrap() ^= 0x80);
    check_made_anew("torn", |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
    });
}

#[test]
fn a_stale_file_is_made_anew() {
    let folder = copy("phi4_fast");
    load(folder.path(), &beside()).unwrap();
    set_age(&folder.path().join(WEIGHTS), 3600);
    assert!(load(folder.path(), &beside()).unwrap().1, "the weights are of another time");

    // Other weights of the same shape, length and time.
    let weights = folder.path().join(WEIGHTS);
    let modified = fs::metadata(&weights).unwrap().modified().unwrap();
    let mut bytes = fs::read(&weights).unwrap();
    let space = bytes.iter().position(|byte| *byte == b' ').unwrap();
    bytes[space] = b'\n';
    fs::write(&weights, bytes).unwrap();
    File::open(&weights).unwrap().set_modified(modified).unwrap();
    assert!(load(folder.path(), &beside()).unwrap().1, "the header is another");

    // A weight in the middle of the largest tensor, as in another fine-tune from an image without times.
    let mut bytes = fs::read(&weights).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let largest = checkpoint.catalogue.tensors.values().max_by_key(|entry| entry.bytes).unwrap();
    bytes[largest.offset + largest.bytes / 2] ^= 1;
    fs::write(&weights, bytes).unwrap();
    File::open(&weights).unwrap().set_modified(modified).unwrap();
    assert!(load(folder.path(), &beside()).unwrap().1, "a weight is another");
    assert!(!load(folder.path(), &beside()).unwrap().1);
}

#[test]
fn a_moved_checkpoint_takes_its_file_along() {
    let folder = copy("phi4_fast");
    let (expect, _) = load(folder.path(), &beside()).unwrap();
    let home = tempfile::tempdir().unwrap();
    let moved = home.path().join("moved");
    fs::rename(folder.path(), &moved).unwrap();
    assert_eq!(load(&moved, &beside()).unwrap(), (expect, false));
}

#[test]
fn plans_of_one_checkpoint_have_files_of_their_own() {
    let folder = copy("gemma3_multimodal");
    let open = |bits| Checkpoint::open(folder.path()).unwrap().quantised(bits);
    let all = [None, Some(Bits::Four), Some(Bits::Eight)];
    let first = all.map(|bits| load_as(&open(bits), &beside()).unwrap());
    let second = all.map(|bits| load_as(&open(bits), &beside()).unwrap());
    for ((first, made), (second, again)) in first.into_iter().zip(second) {
        assert!(made && !again && first == second);
    }
    assert_eq!(left(folder.path()).len(), 3);
}

/// A GGUF file in a folder that nobody can write to, not even root.
fn unwritable() -> (TempDir, File, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    fs::write(&file, Small::llama().gguf_bytes()).unwrap();
    let opened = File::open(file).unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    (folder, opened, path)
}

#[test]
fn a_folder_that_cannot_be_written_is_no_failure() {
    let (_folder, opened, path) = unwritable();
    let (expect, _) = load(&path, &PackFiles::Off).unwrap();
    assert_eq!(load(&path, &beside()).unwrap(), (expect.clone(), true));
    let plain_file = tempfile::NamedTempFile::new().unwrap();
    let below_a_file = Some(plain_file.path().join("cache"));
    let nowhere = PackFiles::Kept { cache: below_a_file, bytes_min: 0 };
    assert_eq!(load(&path, &nowhere).unwrap(), (expect.clone(), true));
    let error = prepack(&path, &nowhere).unwrap_err();
    assert_eq!(error.kind, Kind::Unreadable);
    assert!(error.to_string().contains("pack_files.cache_dir"), "{error}");

    let cache = tempfile::tempdir().unwrap();
    let kept = PackFiles::Kept { cache: Some(cache.path().join("new")), bytes_min: 0 };
    assert_eq!(load(&path, &kept).unwrap(), (expect.clone(), true));
    assert_eq!(load(&path, &kept).unwrap(), (expect, false));
    assert_eq!(left(&cache.path().join("new/packs")).len(), 1);
    drop(opened);
}

#[test]
fn a_folder_in_the_place_of_the_file_is_no_failure() {
    let folder = copy("phi4_fast");
    fs::create_dir(folder.path().join(PACK)).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let (compute, kept) = (Compute::serving(), beside());
    let how = Loading { compute: &compute, kept: &kept, anew: false, report: &|_| {} };
    let ready = checkpoint.load_with(how).unwrap();
    let before = logits_of(&ready.model);
    ready.unsettled.unwrap().settle().unwrap_err();
    assert_eq!(logits_of(&ready.model), before, "what is mapped stays");
    assert_eq!(left(folder.path()), [PACK], "no draft is left");
}

#[test]
fn many_may_pack_at_once() {
    let folder = copy("phi4_fast");
    let (expect, _) = load(folder.path(), &PackFiles::Off).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (logits, _) = load(folder.path(), &beside()).unwrap();
                assert_eq!(logits, expect);
            });
        }
    });
    assert_eq!(left(folder.path()), [PACK]);
    assert_eq!(load(folder.path(), &beside()).unwrap(), (expect, false));
}

#[test]
fn drafts_of_processes_that_ended_are_removed() {
    let folder = copy("phi4_fast");
    let draft = |name: &str| folder.path().join(format!(".{PACK}.{name}.draft"));
    let (dead, alive, new) = (draft("dead"), draft("alive"), draft("new"));
    [&dead, &alive].iter().for_each(|draft| fs::write(draft, "half").unwrap());
    fs::write(&new, "").unwrap(); // whoever made it has not locked it yet
    let held = File::open(&alive).unwrap();
    held.lock().unwrap();
    load(folder.path(), &beside()).unwrap();
    assert_eq!([dead, alive, new].map(|draft| draft.exists()), [false, true, true]);
}

#[test]
fn weights_that_change_or_are_no_numbers_are_not_kept() {
    let folder = copy("phi4_fast");
    set_age(&folder.path().join(WEIGHTS), 3600);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    set_age(&folder.path().join(WEIGHTS), 1800);
    assert_eq!(load_as(&checkpoint, &beside()).unwrap_err().kind, Kind::Changed);
    assert!(left(folder.path()).is_empty());

    let folder = tempfile::tempdir().unwrap();
    let mut small = Small::llama();
    let embedding = small.tensors.iter_mut().find(|tensor| tensor.name.contains("embed")).unwrap();
    embedding.bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes());
    small.write_folder(folder.path());
    let refused = [load(folder.path(), &beside()).unwrap_err(), {
        prepack(folder.path(), &beside()).unwrap_err()
    }];
    for error in refused {
        assert!(error.problem.contains("a NaN in row 1"), "{error}");
    }
    assert!(left(folder.path()).is_empty());
}

#[test]
fn a_file_may_be_deleted_while_it_is_mapped() {
    let folder = copy("phi4_fast");
    load(folder.path(), &beside()).unwrap();
    let (compute, kept) = (Compute::serving(), beside());
    let how = Loading { compute: &compute, kept: &kept, anew: false, report: &|_| {} };
    let ready = Checkpoint::open(folder.path()).unwrap().load_with(how).unwrap();
    let before = logits_of(&ready.model);
    fs::remove_file(folder.path().join(PACK)).unwrap();
    assert_eq!(logits_of(&ready.model), before);
    assert!(is_mapped(folder.path()));
    drop(ready);
    assert!(!is_mapped(folder.path()), "what is unloaded is unmapped");
}

/// This process has a pack file of this folder in its memory.
fn is_mapped(folder: &Path) -> bool {
    let mut maps = String::new();
    File::open("/proc/self/maps").unwrap().read_to_string(&mut maps).unwrap();
    maps.lines().any(|line| line.contains(folder.to_str().unwrap()))
}

#[test]
fn prepacking_makes_the_file_that_loads_use() {
    let folder = copy("phi4_fast");
    let made = prepack(folder.path(), &beside()).unwrap().unwrap();
    assert_eq!((made.file.clone(), made.made), (folder.path().join(PACK), true));
    let length = fs::metadata(&made.file).unwrap().len();
    assert!((made.bytes..made.bytes + 8192).contains(&length), "{made:?}: {length}");
    assert!(!load(folder.path(), &beside()).unwrap().1);
    assert!(!prepack(folder.path(), &beside()).unwrap().unwrap().made);
    assert_eq!(prepack(folder.path(), &PackFiles::Off).unwrap(), None);
}
