//! Every golden encoder against the vectors that transformers recorded for it, by way of a fleet: what is compared is
//! what serving computes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use signalbox_engine::{
    DType, EmbedRequest, Embeddable, EngineError, ExpertSettings, Fleet, FleetLimits,
    FleetSettings, Inspection, KvCacheDType, LazyLoading, Message, PackFiles, Quantization,
    Request, Severity, Templates, inspect, self_test,
};

/// The largest error, of the largest element.
const ERROR_MAX: f32 = 1e-4;

/// A text, its tokens, and its vector.
#[derive(Deserialize)]
struct Expected {
    text: String,
    ids: Vec<u32>,
    vector: Vec<f32>,
}

fn cases() -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/encoders");
    let mut folders: Vec<_> =
        fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 5, "only {} encoders are there", folders.len());
    folders
}

fn id(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

/// All of them, and an expert that replies.
fn fleet() -> Fleet {
    let toy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/phi4_fast");
    let experts = cases().into_iter().chain([toy]).map(expert);
    Fleet::start(FleetSettings {
        experts: experts.collect(),
        lazy_loading: LazyLoading {
            enabled: true,
            warmup_pool_size: 0,
            max_loaded_experts: 3,
            auto_unload_after: None,
        },
        memory_bytes_max: 4 << 30,
        limits: FleetLimits { queue_max: 64 },
        templates: Templates::InProcess,
        pack_files: PackFiles::Off,
    })
}

fn expert(path: PathBuf) -> ExpertSettings {
    ExpertSettings {
        id: id(&path),
        path,
        domain: "test".into(),
        description: String::new(),
        use_cases: Vec::new(),
        priority: 0,
        quantization: None,
        dtype: DType::Auto,
        kv_cache_dtype: KvCacheDType::Auto,
        prompt_lookup: true,
        max_model_len: None,
        max_num_seqs: 8,
        pinned: false,
    }
}

fn expected(folder: &Path) -> Vec<Expected> {
    serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

fn texts(expected: &[Expected]) -> Vec<Embeddable> {
    expected.iter().map(|one| Embeddable::Text(one.text.clone())).collect()
}

fn of(texts: Vec<Embeddable>, truncate: bool) -> EmbedRequest {
    EmbedRequest { texts, truncate, ..EmbedRequest::default() }
}

#[tokio::test]
async fn vectors_and_tokens_are_those_of_transformers() {
    let fleet = fleet();
    for folder in cases() {
        let (name, expected) = (id(&folder), expected(&folder));
        let embedded = fleet.embed(&name, of(texts(&expected), false)).await.unwrap();
        for ((one, vector), tokens) in expected.iter().zip(&embedded.vectors).zip(embedded.tokens) {
            let text = &one.text;
            assert_eq!(tokens as usize, one.ids.len(), "{name}: tokens of '{text}'");
            let largest = one.vector.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let error = one.vector.iter().zip(vector).map(|(a, b)| (a - b).abs());
            let error = error.fold(0.0, f32::max) / largest;
            assert!(error < ERROR_MAX, "{name}: '{text}' is off by {error}");
            let length: f32 = vector.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5, "{name}: a vector of the length {length}");
        }
        let tokens = expected.iter().map(|one| Embeddable::Tokens(one.ids.clone())).collect();
        let again = fleet.embed(&name, of(tokens, false)).await.unwrap();
        assert_eq!(again.vectors, embedded.vectors, "{name}: sent as tokens");
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
    let packed = ExpertSettings { quantization: Some(Quantization::Int8), ..wordpiece.clone() };
    let packed = inspect(&packed, &Templates::InProcess);
    assert!(said(&packed, "quantization-mismatch", Severity::Warning), "{:?}", packed.findings);
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
