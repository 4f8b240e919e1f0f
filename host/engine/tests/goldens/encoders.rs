//! Every golden encoder against the vectors that transformers recorded for it, by way of a fleet: what is compared is
//! what serving computes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use signalbox_engine::{
    EmbedRequest, Embeddable, EngineError, ExpertSettings, Fleet, FleetLimits, FleetSettings,
    Inspection, LazyLoading, Message, PackFiles, Quantization, Request, Severity, Templates,
    inspect, self_test,
};

use crate::vectors::{self, Expected, of, texts};

fn cases() -> Vec<PathBuf> {
    cases_of("encoders", 5)
}

/// The folders of a kind of goldens, of which there are so many at least.
pub(crate) fn cases_of(kind: &str, least: usize) -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(kind);
    let mut folders: Vec<_> =
        fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= least, "only {} {kind} are there", folders.len());
    folders
}

pub(crate) fn id(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

/// All of them, and an expert that replies.
fn fleet() -> Fleet {
    let toy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/phi4_fast");
    fleet_of(cases().into_iter().chain([toy]))
}

pub(crate) fn fleet_of(folders: impl Iterator<Item = PathBuf>) -> Fleet {
    Fleet::start(FleetSettings {
        experts: folders.map(expert).collect(),
        lazy_loading: LazyLoading {
            enabled: true,
            warmup_pool_size: 0,
            max_loaded_experts: 3,
            auto_unload_after: None,
            prefetch: false,
        },
        memory_bytes_max: 4 << 30,
        limits: FleetLimits { queue_max: 64 },
        templates: Templates::InProcess,
        pack_files: PackFiles::Off,
    })
}

pub(crate) fn expert(path: PathBuf) -> ExpertSettings {
    ExpertSettings { max_num_seqs: 8, ..ExpertSettings::new(id(&path), path) }
}

fn expected(folder: &Path) -> Vec<Expected> {
    vectors::expected(&folder.join("expected.json"))
}

#[tokio::test]
async fn vectors_and_tokens_are_those_of_transformers() {
    let fleet = fleet();
    for folder in cases() {
        vectors::check(&fleet, &id(&folder), &expected(&folder)).await;
    }
}

#[tokio::test]
async fn a_vector_does_not_depend_on_who_else_is_there() {
    let fleet = fleet();
    for folder in cases() {
        let (name, texts) = (id(&folder), texts(&expected(&folder)));
        let together = fleet.embed(&name, of(texts.clone(), false)).await.unwrap().vectors;
        let mut reversed: Vec<_> = texts.iter().cloned().rev().cycle().take(40).collect();
        let backwards = fleet.embed(&name, of(reversed.clone(), false));
        reversed.truncate(3);
        let (backwards, beside) = tokio::join!(backwards, fleet.embed(&name, of(reversed, false)));
        let (backwards, beside) = (backwards.unwrap().vectors, beside.unwrap().vectors);
        for (at, text) in texts.iter().enumerate() {
            let alone = fleet.embed(&name, of(vec![text.clone()], false)).await.unwrap().vectors;
            assert_eq!(alone[0], together[at], "{name}: {text:?} among others");
            let last = texts.len() - 1 - at;
            assert_eq!(alone[0], backwards[last], "{name}: {text:?} in another order");
            assert_eq!(alone[0], backwards[last + texts.len()], "{name}: {text:?} again");
        }
        assert_eq!(beside[..], backwards[..3], "{name}: beside another call");
    }
    fleet.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn who_makes_vectors_does_not_reply_and_the_other_way_round() {
    let fleet = fleet();
    let name = "bert-wordpiece-mean-f32";
    let status = fleet.status(name).unwrap();
    assert_eq!((status.capabilities, status.context_length), (vec!["embeddings".to_owned()], 64));
    let request = Request::new(vec![Message::text("user", "Hello")]);
    let error = fleet.generate(name, request).await.err().unwrap();
    assert!(
        matches!(&error, EngineError::NoReplies { replying, .. } if replying == &["phi4_fast"])
    );
    let text = || vec![Embeddable::Text("Hello".into())];
    let error = fleet.embed("phi4_fast", of(text(), false)).await.unwrap_err();
    assert!(matches!(&error, EngineError::NoVectors { encoding, .. } if encoding.len() == 5));
    assert_eq!(fleet.status(name).unwrap().load_count, 0, "nothing was loaded to find that out");
    assert_eq!(fleet.count_tokens(Some(name), "the").unwrap(), 1);
    assert!(fleet.count_tokens(None, "the").unwrap() > 0, "the default expert replies");
    fleet.embed(name, of(text(), false)).await.unwrap();
    let status = fleet.status(name).unwrap();
    assert_eq!((status.load_count, status.requests_total), (1, 1));
    assert!(status.prompt_tokens_total > 2 && status.weights_address.is_some());
}

#[tokio::test]
async fn a_text_that_does_not_fit_is_refused_or_loses_its_end() {
    let fleet = fleet();
    let name = "bert-wordpiece-mean-f32";
    let embed = |text: &str, truncate| {
        fleet.embed(name, of(vec![Embeddable::Text(text.to_owned())], truncate))
    };
    let long = "the line ".repeat(100);
    let error = embed(&long, false).await.unwrap_err();
    assert!(matches!(error, EngineError::TextTooLong { context: 64, .. }), "{error}");
    let error = embed(&"x".repeat(1 << 20), false).await.unwrap_err();
    assert!(matches!(error, EngineError::TextOversized { .. }), "{error}");
    let cut = embed(&long, true).await.unwrap();
    assert_eq!(cut.tokens, [64]);
    let longer = embed(&long.repeat(100), true).await.unwrap();
    assert_eq!(cut.vectors, longer.vectors, "what is cut off changes nothing");
    let nothing = fleet.embed(name, of(vec![Embeddable::Tokens(vec![])], false)).await.unwrap_err();
    assert!(nothing.to_string().contains("no tokens"), "{nothing}");
    let strange = fleet.embed(name, of(vec![Embeddable::Tokens(vec![1 << 30])], false)).await;
    assert!(strange.unwrap_err().to_string().contains("there is no token 1073741824"));
}

#[tokio::test]
async fn only_the_beginning_of_a_text_is_read() {
    let fleet = fleet();
    let name = "bert-wordpiece-mean-f32";
    let embed = |text: &str, tokens_max| {
        let text = Embeddable::Text(text.to_owned());
        let request = EmbedRequest { tokens_max, ..of(vec![text], true) };
        fleet.embed(name, request)
    };
    let whole = embed("the line is the line", None).await.unwrap();
    let begun = embed("the line is", Some(5)).await.unwrap();
    let cut = embed("the line is the line", Some(begun.tokens[0])).await.unwrap();
    assert_eq!((cut.tokens, &cut.vectors), (begun.tokens, &begun.vectors));
    assert_ne!(cut.vectors, whole.vectors);
    let more = embed("the line is the line", Some(1000)).await.unwrap();
    assert_eq!(more, whole, "no more than the expert holds, and no less");
}

#[tokio::test]
async fn what_an_encoder_is_and_whether_it_works_is_known_before_it_serves() {
    let settings = |name: &str| cases().into_iter().find(|path| id(path) == name).map(expert);
    let wordpiece = settings("bert-wordpiece-mean-f32").unwrap();
    let seen = inspect(&wordpiece, &Templates::InProcess);
    let what = (seen.architecture.as_deref(), seen.quantization.as_deref(), seen.vector_width);
    assert_eq!(what, (Some("BertModel"), Some("f32"), Some(32)));
    assert_eq!((seen.failure(), seen.chat, seen.context_length), (None, false, Some(64)));
    assert!(seen.memory_bytes > seen.weight_bytes);
    let said = |seen: &Inspection, code: &str, severity| {
        seen.findings.iter().any(|found| found.code == code && found.severity == severity)
    };
    let narrow = ExpertSettings { quantization: Some(Quantization::Int8), ..wordpiece.clone() };
    let narrow = inspect(&narrow, &Templates::InProcess);
    let held = narrow.quantization.as_deref();
    assert_eq!(held, Some("q8_0 (quantised while loading from f32)"));
    assert!(narrow.weight_bytes < seen.weight_bytes);
    let awq = ExpertSettings { quantization: Some(Quantization::Awq), ..wordpiece.clone() };
    let awq = inspect(&awq, &Templates::InProcess);
    assert!(said(&awq, "quantization-mismatch", Severity::Warning), "{:?}", awq.findings);
    let longer = ExpertSettings { max_model_len: Some(100), ..wordpiece.clone() };
    assert_eq!(inspect(&longer, &Templates::InProcess).context_length, Some(100));

    let broken = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(wordpiece.path.join(file), broken.path().join(file)).unwrap();
    }
    let mute = inspect(&expert(broken.path().to_owned()), &Templates::InProcess);
    assert!(said(&mute, "checkpoint-incomplete", Severity::Error), "{:?}", mute.findings);
    assert!(said(&mute, "pooling-assumed", Severity::Note), "{:?}", mute.findings);

    let tested = self_test(&wordpiece, &Templates::InProcess, 1 << 30).await.unwrap();
    assert_eq!((tested.vector_width, tested.chat, tested.tokens), (Some(32), false, 0));
}
