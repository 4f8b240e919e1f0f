//! The table in the component is the one that training makes. `WRITE_WEIGHTS=1` writes it anew.

use std::path::Path;
use std::{env, fs};

use crate::domains::DOMAINS;
use crate::training::{Chance, Sample, samples, train};

/// The labelled prompts, in the order of the classifier's columns.
fn labelled(chance: &mut Chance) -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let names = DOMAINS.into_iter().chain(["follow-up"]).enumerate();
    let files = names.map(|(class, name)| {
        let text = fs::read_to_string(folder.join(name).with_extension("txt")).unwrap();
        samples(&text, class, chance)
    });
    files.flatten().collect()
}

#[test]
fn the_weights_are_those_that_training_makes() {
    let mut chance = Chance::new();
    let labelled = labelled(&mut chance);
    let made = train(&labelled, &mut chance);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/weights.bin");
    if env::var_os("WRITE_WEIGHTS").is_some() {
        fs::write(&file, &made).unwrap();
    }
    let stored = fs::read(&file).unwrap();
    let differ = stored.iter().zip(&made).filter(|(a, b)| a != b).count();
    assert!(
        stored.len() == made.len() && differ == 0,
        "{differ} of {} bytes differ: run this test with WRITE_WEIGHTS=1",
        made.len()
    );
}
