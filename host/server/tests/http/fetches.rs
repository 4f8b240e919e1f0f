//! Images that are fetched count as calls, end with their time, and end with their client.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::fixture::Server;

const CHAT: &str = "/v1/chat/completions";

/// A host of images that accepts and never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn body(host: &str) -> String {
    let image = json!({"type": "image_url", "image_url": {"url": format!("http://{host}/a.png")}});
    json!({"messages": [{"role": "user", "content": [image]}]}).to_string()
}

/// Asks for an image, without waiting for the answer.
fn ask(server: &Server, host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&server.data).unwrap();
    let body = body(host);
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    stream
}

#[test]
fn a_fetch_is_a_call_and_ends_with_its_client() {
    let (images, host) = silent();
    let server = Server::with(|settings| {
        settings.limits.in_flight_max = 1;
        settings.image_hosts = vec![host.clone()];
    });
    let client = ask(&server, &host);
    let (mut fetching, _) = images.accept().unwrap();
    let in_flight = |server: &Server| server.get("/stats").json()["requests_in_flight"].clone();
    assert_eq!(in_flight(&server), 1);
    let full = server.post(CHAT, &body(&host));
    assert_eq!((full.status, full.code().as_str()), (429, "too_many_requests"), "{}", full.text);
    images.set_nonblocking(true).unwrap();
    assert!(images.accept().is_err(), "it was fetched for nobody");
    drop(client);
    fetching.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut sent = String::new();
    fetching.read_to_string(&mut sent).expect("the fetch goes on for nobody");
    assert!(sent.starts_with("GET /a.png HTTP/1.1\r\nhost: "), "{sent}");
    server.wait_until("the place is free", |server| in_flight(server) == 0);
}

#[test]
fn a_fetch_takes_no_longer_than_a_call_may() {
    let (images, host) = silent();
    let server = Server::with(|settings| {
        settings.limits.answer_s = 1;
        settings.image_hosts = vec![host.clone()];
    });
    let late = server.post(CHAT, &body(&host));
    assert_eq!((late.status, late.code().as_str()), (504, "reply_timeout"), "{}", late.text);
    drop(images);
}

#[test]
fn a_fetch_has_its_own_time_and_few_go_on_at_once() {
    let (images, host) = silent();
    let server = Server::with(|settings| {
        settings.images.fetch_s = 1;
        settings.images.fetches_max = 2;
        settings.image_hosts = vec![host.clone()];
    });
    thread::scope(|scope| {
        let asked = [(); 4].map(|()| scope.spawn(|| server.post(CHAT, &body(&host))));
        let open = [images.accept().unwrap(), images.accept().unwrap()];
        images.set_nonblocking(true).unwrap();
        assert!(images.accept().is_err(), "more are fetched at once than may be");
        images.set_nonblocking(false).unwrap();
        let (third, fourth) = (images.accept().unwrap(), images.accept().unwrap());
        for answer in asked.map(|asked| asked.join().unwrap()) {
            assert_eq!(answer.code(), "image_unreachable", "{}", answer.text);
            assert!(answer.text.contains("longer than 1 s"), "{}", answer.text);
        }
        drop((open, third, fourth));
    });
}
