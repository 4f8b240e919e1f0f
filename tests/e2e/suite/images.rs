//! Images over HTTP: the expert that sees answers what a picture shows, the router finds it, and what can
//! not be taken is refused with a code, the part and the mend.

use std::{
    fs,
    io::{Cursor, Read, Write},
    net::TcpListener,
    path::PathBuf,
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

use crate::{
    host::{EXPERTS, Host, config, content, models},
    http::Answer,
};

const SEEING: &str = "gemma3_multimodal";
const CHAT: &str = "/v1/chat/completions";

/// What transformers answers about the pictures beside it.
fn exhibition() -> PathBuf {
    models().join(format!("{SEEING}_pictures"))
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn red_square() -> RgbImage {
    let paint = |x, y| match (16..48).contains(&x) && (16..48).contains(&y) {
        true => Rgb([220, 20, 20]),
        false => Rgb([255, 255, 255]),
    };
    RgbImage::from_fn(64, 64, paint)
}

fn data_url(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes))
}

fn png() -> String {
    data_url(&encoded(red_square(), ImageFormat::Png))
}

fn part(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}

/// A user's message: pictures, then words.
fn message(urls: &[String], words: &str) -> Value {
    let mut parts: Vec<Value> = urls.iter().map(|url| part(url)).collect();
    parts.push(json!({"type": "text", "text": words}));
    json!({"role": "user", "content": parts})
}

fn ask(host: &Host, model: &str, messages: &[Value]) -> Answer {
    host.post(
        CHAT,
        &json!({"model": model, "messages": messages, "temperature": 0, "max_tokens": 40}),
    )
}

fn look(host: &Host, model: &str, url: &str) -> Answer {
    ask(host, model, &[message(&[url.to_owned()], "What is in this picture?")])
}

/// Status 400, the code, the part and a word of the text.
fn check_refused(answer: &Answer, code: &str, word: &str) {
    assert_eq!((answer.status, answer.error_code().as_str()), (400, code), "{}", answer.text);
    assert!(answer.text.contains(word), "no '{word}' in {}", answer.text);
}

#[test]
fn pictures_are_answered_as_transformers_answers_them() {
    let host = Host::start();
    let text = fs::read_to_string(exhibition().join("recorded.json")).unwrap();
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let entries = recorded["entries"].as_array().unwrap();
    assert!(entries.len() >= 10, "only {} pictures were recorded", entries.len());
    let wrong: Vec<_> = entries.iter().filter_map(|entry| astray(&host, entry)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), entries.len(), wrong.join("\n"));
}

/// What was said of an entry's pictures, if it is not what was recorded.
fn astray(host: &Host, entry: &Value) -> Option<String> {
    let files = entry["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap());
    let mut pictures = files.map(|f| data_url(&fs::read(exhibition().join(f)).unwrap()));
    let messages = match entry["messages"].as_array() {
        Some(turns) => turns.iter().map(|turn| shown(turn, &mut pictures)).collect(),
        None => vec![asked(entry, &pictures.collect::<Vec<_>>())],
    };
    let reply = ask(host, SEEING, &messages).ok();
    let (said, recorded) = (content(&reply), entry["answer"].as_str().unwrap());
    (said != recorded).then(|| format!("{}: {said:?}, not {recorded:?}", entry["files"]))
}

/// A question alone. Where its pictures stood is known from what the template made of it.
fn asked(entry: &Value, pictures: &[String]) -> Value {
    let text = |key: &str| entry[key].as_str().unwrap();
    let mut asked = message(pictures, text("prompt"));
    let after = text("rendered").find("<start_of_image>") > text("rendered").find(text("prompt"));
    if after {
        asked["content"].as_array_mut().unwrap().rotate_right(1);
    }
    asked
}

/// A turn as it was recorded, with pictures in their places.
fn shown(turn: &Value, pictures: &mut impl Iterator<Item = String>) -> Value {
    let mut turn = turn.clone();
    for place in turn["content"].as_array_mut().into_iter().flatten() {
        if place["type"] == "image" {
            *place = part(&pictures.next().unwrap());
        }
    }
    turn
}

#[test]
fn the_router_lets_those_see_who_can() {
    let host = Host::start();
    let sees =
        |expert: &Value| expert["capabilities"].as_array().unwrap().contains(&json!("images"));
    for (id, _) in EXPERTS {
        assert_eq!(sees(&host.expert(id)), id == SEEING, "{id}");
    }
    let models = host.get("/v1/models").ok();
    let listed = models["data"].as_array().unwrap().iter().filter(|m| m["id"] == SEEING);
    assert!(listed.into_iter().all(sees), "{models}");

    let routed = ask(&host, "auto", &[message(&[png()], "Write a Python function")]);
    assert_eq!(routed.status, 200, "{}", routed.text);
    assert_eq!(routed.header("x-signalbox-expert"), SEEING);
    assert_eq!(routed.header("x-signalbox-reason"), "images: the call has images; 100 %");
    host.admin_post("/policies/route-by-domain/deactivate", &json!({})).ok();
    let unrouted = look(&host, "auto", &png());
    assert_eq!(unrouted.header("x-signalbox-route"), "default");
    assert_eq!(unrouted.header("x-signalbox-expert"), SEEING);
}

#[test]
fn every_form_of_a_picture_is_the_same_picture() {
    let host = Host::start();
    let bare = json!({"role": "user", "content": [
        {"type": "input_image", "image_url": png()}, {"type": "text", "text": "What is in this picture?"}
    ]});
    let webp = data_url(&encoded(red_square(), ImageFormat::WebP));
    let whole = look(&host, SEEING, &png()).ok();
    assert_eq!(content(&ask(&host, SEEING, &[bare]).ok()), content(&whole));
    assert_eq!(content(&look(&host, SEEING, &webp).ok()), content(&whole));
    let words = host.chat(SEEING, "What is in this picture?").ok();
    let tokens = |reply: &Value| reply["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens(&whole) > tokens(&words), "a picture takes tokens: {whole} {words}");
}

#[test]
fn a_blind_expert_names_one_that_sees() {
    let host = Host::start();
    for (id, _) in EXPERTS.iter().filter(|(id, _)| *id != SEEING) {
        let answer = look(&host, id, &png());
        check_refused(&answer, "images_not_supported", &format!("'{id}' can't see images"));
        assert!(answer.text.contains(&format!("ask {SEEING}")), "{}", answer.text);
    }
}

#[test]
fn pictures_that_can_not_be_taken_are_refused() {
    let mut strict = config();
    strict["images"] = json!({"bytes_max": 200_000, "pixels_max": 1_000_000, "per_call_max": 2});
    let host = Host::start_with(strict);
    let whole = encoded(red_square(), ImageFormat::Png);
    let bomb = encoded(GrayImage::new(5000, 4000), ImageFormat::Png);
    assert!(bomb.len() < 120_000, "a bomb is small: {}", bomb.len());
    let at = "messages[0].content[0]";
    for (url, code, word) in [
        (data_url(&bomb), "image_too_large", "5000x4000 and 1000000 pixels are taken"),
        (data_url(&vec![7; 300_000]), "image_too_large", "200000 are taken; send a smaller one"),
        (data_url(b"GIF89a"), "image_invalid", "convert it to one of them"),
        (data_url(&bomb[..bomb.len() / 2]), "image_too_large", "5000x4000"),
        (data_url(&whole[..whole.len() / 2]), "image_invalid", "send it again"),
        ("data:image/png;base64,%%%".to_owned(), "image_invalid", "is not base64"),
        ("file:///etc/passwd".to_owned(), "image_invalid", "data:image/png;base64"),
        ("http://169.254.169.254/".to_owned(), "image_url_not_allowed", "images.allowed_hosts"),
        (
            "https://example.com/a.png".to_owned(),
            "image_url_not_allowed",
            "send the image as a data",
        ),
    ] {
        let answer = look(&host, SEEING, &url);
        check_refused(&answer, code, word);
        assert_eq!(answer.json()["error"]["param"], at);
    }
    let three = ask(&host, SEEING, &[message(&[png(), png(), png()], "Which?")]);
    check_refused(&three, "too_many_images", "more than 2 images; send fewer");
    assert_eq!(three.json()["error"]["param"], "messages[0].content[2]");
}

#[test]
fn pictures_are_fetched_from_allowed_hosts_only() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().for_each(|stream| serve_picture(stream.unwrap())));
    let mut open = config();
    open["images"] = json!({"allowed_hosts": [address]});
    let host = Host::start_with(open);
    let fetched = look(&host, SEEING, &format!("http://{address}/red.png")).ok();
    assert_eq!(content(&fetched), content(&look(&host, SEEING, &png()).ok()));
    let away = look(&host, SEEING, &format!("http://{address}/elsewhere"));
    check_refused(&away, "image_unreachable", "we don't follow");
    let other = look(&host, SEEING, "http://127.0.0.1:1/red.png");
    check_refused(&other, "image_url_not_allowed", &format!("allowed {address} only"));
}

/// A web server of two pages: the picture, and a redirect to it.
fn serve_picture(mut stream: impl Read + Write) {
    let mut request = [0; 4096];
    let read = stream.read(&mut request).unwrap();
    let body = encoded(red_square(), ImageFormat::Png);
    let head = match request[..read].starts_with(b"GET /red.png ") {
        true => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()),
        false => "HTTP/1.1 302 Found\r\nlocation: /red.png\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    // The host may hang up as soon as it has seen the status.
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}

#[test]
fn edits_leave_the_picture_where_it_stands() {
    let host = Host::start();
    host.deploy_example("redact-pii");
    let words = "What is in this picture? jane@example.org";
    let clean = message(&[png()], "What is in this picture? [email]");
    let seen = ask(&host, SEEING, &[message(&[png()], words)]).ok();
    let next = ask(&host, SEEING, &[clean]).ok();
    assert_eq!(next["usage"], crate::host::usage_of_the_next(&seen), "the picture stays");
    let fake = host.chat("phi4_fast", "Hello \u{fffc}!");
    assert_eq!(fake.status, 200, "text can't pass for a picture: {}", fake.text);
}
