//! What is said about the endpoints is what there is: both OpenAPI documents, and the tables of
//! `docs/http.md` that are made from them. Run with `WRITE_DOCUMENTS=1` in the environment, these
//! tests write them.

use std::{fs, path::Path};

use serde_json::Value;

use crate::fixture::Server;

const DATA: &str = "<!-- data plane: written by the test `every_endpoint_is_documented` -->\n";
const ADMIN: &str = "<!-- admin plane: written by the test `every_endpoint_is_documented` -->\n";
const END: &str = "<!-- end of table -->";

/// Holds a file to what it should say, or writes it.
fn hold(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("WRITE_DOCUMENTS").is_some() {
        return fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap();
    assert!(found == expected, "run this test once with WRITE_DOCUMENTS=1 in the environment");
}

fn documents(server: &Server) -> [Value; 2] {
    let admin = server.operate("GET", "/openapi.json", b"");
    [server.get("/openapi.json").json(), admin.json()]
}

/// The type's name, or the media type of what is no JSON.
fn payload(said: &Value) -> String {
    let Some((media, described)) = said["content"].as_object().and_then(|said| said.iter().next())
    else {
        return "–".to_owned();
    };
    let reference = described["schema"]["$ref"].as_str();
    let name = reference.and_then(|reference| reference.rsplit('/').next());
    format!("`{}`", name.unwrap_or(media))
}

fn row(path: &str, method: &str, said: &Value) -> String {
    let responses = said["responses"].as_object().unwrap();
    let (status, success) = responses.iter().find(|(status, _)| *status != "default").unwrap();
    let status = if status == "200" { String::new() } else { format!("{status} ") };
    let parameters = said["parameters"].as_array().into_iter().flatten();
    let query = parameters.filter(|parameter| parameter["in"] == "query").map(|parameter| {
        format!(
            " `?{}=`: {}.",
            parameter["name"].as_str().unwrap(),
            parameter["description"].as_str().unwrap()
        )
    });
    format!(
        "| `{} {path}` | {}{} | {} | {status}{} |\n",
        method.to_uppercase(),
        said["summary"].as_str().unwrap(),
        query.collect::<String>(),
        payload(&said["requestBody"]),
        payload(success)
    )
}

fn table(document: &Value) -> String {
    let paths = document["paths"].as_object().unwrap().iter();
    let rows = paths.flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, said)| row(path, method, said))
    });
    format!("| endpoint | | takes | answers |\n|---|---|---|---|\n{}", rows.collect::<String>())
}

/// The text with what stands between `begin` and the end of its table replaced.
fn with_table(text: &str, begin: &str, document: &Value) -> String {
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    format!("{before}{begin}{}{END}{after}", table(document))
}

#[test]
fn the_openapi_documents_are_the_golden_ones() {
    let [data, admin] = documents(&Server::start());
    let pretty =
        |document: &Value| format!("{}\n", serde_json::to_string_pretty(document).unwrap());
    hold("tests/golden/openapi.data.json", &pretty(&data));
    hold("tests/golden/openapi.admin.json", &pretty(&admin));
}

#[test]
fn every_endpoint_is_documented() {
    let path = "../../docs/http.md";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let [data, admin] = documents(&Server::start());
    hold(path, &with_table(&with_table(&text, DATA, &data), ADMIN, &admin));
}
