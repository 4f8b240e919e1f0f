//! Both directions without a host: a table of what is hidden and of what stays, whole and in chunks.

use super::*;
use signalbox_sdk::testing;

const PERSONAL: &str =
    "Mail jane.doe+x@example.co.uk, pay 4111 1111 1111 1111, call +1 (555) 010-0199.";
const CLEAN: &str = "Mail [email], pay [card], call [phone].";

/// A text, and what is left of it.
const HIDDEN: [(&str, &str); 50] = [
    (PERSONAL, CLEAN),
    ("jane@example.com", "[email]"),
    ("<jane@example.com>,", "<[email]>,"),
    ("mailto:j.d@mail.example.org.", "mailto:[email]."),
    ("josé.núñez@correo.es", "[email]"),
    ("a_b-c%d@x-y.museum", "[email]"),
    ("612345678@example.com", "[email]"),
    ("one@x.io two@y.dev", "[email] [email]"),
    ("call 555.123.4567.", "call [phone]."),
    ("call 555-123-4567!", "call [phone]!"),
    ("call 555 123 4567", "call [phone]"),
    ("(555) 123-4567", "[phone]"),
    ("(555)123-4567", "[phone]"),
    ("1-800-555-0199", "[phone]"),
    ("1.555.123.4567", "[phone]"),
    ("555\u{2011}123\u{2011}4567", "[phone]"),
    ("555\u{2013}123\u{2013}4567", "[phone]"),
    ("+34 612 345 678", "[phone]"),
    ("+34\u{a0}612\u{a0}345\u{a0}678", "[phone]"),
    ("+34612345678", "[phone]"),
    ("tel:+34612345678", "tel:[phone]"),
    ("(+34) 612 34 56 78", "[phone]"),
    ("0034 612 345 678", "[phone]"),
    ("00 44 20 7946 0958", "[phone]"),
    ("612 345 678", "[phone]"),
    ("612 34 56 78", "[phone]"),
    ("91 123 45 67", "[phone]"),
    ("612-345-678", "[phone]"),
    ("06 12 34 56 78", "[phone]"),
    ("020 7946 0958", "[phone]"),
    ("07700 900123", "[phone]"),
    ("138 1234 5678", "[phone]"),
    ("11 91234-5678", "[phone]"),
    ("2024-11-25 612 345 678", "2024-11-25 [phone]"),
    ("612 345 678 - 699 111 222", "[phone] - [phone]"),
    ("4111111111111111", "[card]"),
    ("4111-1111-1111-1111", "[card]"),
    ("4111.1111.1111.1111", "[card]"),
    ("4111\u{a0}1111\u{a0}1111\u{a0}1111!", "[card]!"),
    ("4111\u{202f}1111\u{202f}1111\u{202f}1111", "[card]"),
    ("4111\u{2010}1111\u{2010}1111\u{2010}1111", "[card]"),
    ("3782 822463 10005", "[card]"),
    ("card=5555555555554444;", "card=[card];"),
    ("6011 0009 9013 9424 exp 12/27", "[card] exp 12/27"),
    ("IBAN ES91 2100 0418 4502 0005 1332.", "IBAN [iban]."),
    ("ES9121000418450200051332", "[iban]"),
    ("DE89\u{a0}3704\u{a0}0044\u{a0}0532\u{a0}0130\u{a0}00 ok", "[iban] ok"),
    ("gb29nwbk60161331926819", "[iban]"),
    ("DNI 12345678Z, NIE X1234567L", "DNI [id], NIE [id]"),
    ("12345678-Z", "[id]"),
];

/// Dates, times, versions, hashes, prices, measures and identifiers.
const STAYS: [&str; 50] = [
    "",
    "a@b",
    "@name",
    "user@localhost",
    "git@github.com:org/repo",
    "pkg@1.2.3",
    "2024-11-25 01:23:45",
    "2024-11-25T01:23:45.123456Z",
    "2024.11.25 - 2024.12.01",
    "25-11-2024 10:00",
    "25.11.2024 01:23",
    "11-25-2024",
    "from 2024-11-25 to 2024-12-01",
    "20241125 012345",
    "1732497825",
    "1732497825123",
    "1914-1918",
    "10:30-11:45",
    "3.14159265358979",
    "299 792 458 m/s",
    "1 000 000 000 people",
    "1 000 000 000 000",
    "1 612 345 678 people",
    "1.234.567.890 €",
    "$612 345 678",
    "€ 1 234,50",
    "v1.2.3",
    "10.0.19045.3803",
    "120.0.6099.109",
    "10.0.0.1",
    "192.168.100.200",
    "255.255.255.0",
    "2001:db8::8a2e:370:7334",
    "550e8400-e29b-41d4-a716-446655440000",
    "d41d8cd98f00b204e9800998ecf8427e",
    "sha256:4111111111111111aa",
    "a4111111111111111",
    "4111 1111 1111 1112",
    "9111111111111111",
    "978-3-16-148410-0",
    "0-306-40615-2",
    "ORD-555-123-4567",
    "#555 123 4567",
    "https://x.example/555-123-4567",
    "ES91 2100 0418 4502 0005 1333",
    "12345678A",
    "1024 * 768",
    "1 2 3 4 5 6 7 8 9 10 11 12",
    "5551234567",
    "int_612_345_678",
];

#[test]
fn what_is_personal_is_hidden() {
    let wrong = HIDDEN.into_iter().filter(|(text, clean)| redact(text) != *clean);
    let wrong: Vec<_> = wrong.map(|(text, clean)| (redact(text), clean)).collect();
    assert!(wrong.is_empty(), "found and wanted: {wrong:#?}");
}

#[test]
fn what_looks_like_it_stays() {
    let wrong: Vec<_> = STAYS.into_iter().filter(|text| redact(text) != *text).collect();
    assert!(wrong.is_empty(), "changed: {wrong:#?}");
}

/// What a client reads of `text` when it comes in chunks of so many characters.
fn in_chunks(text: &str, size: usize) -> String {
    let request = testing::request("who?").build();
    let letters: Vec<char> = text.chars().collect();
    let chunks: Vec<String> = letters.chunks(size).map(|chunk| chunk.iter().collect()).collect();
    testing::reply::<RedactPii>(&request, "any", chunks.iter().map(String::as_str))
}

#[test]
fn chunk_borders_hide_and_show_nothing() {
    let stays = STAYS.map(|text| (text, text));
    for (text, clean) in HIDDEN.into_iter().chain(stays) {
        for size in 1..=text.len() {
            assert_eq!(in_chunks(text, size), clean, "{text} in chunks of {size}");
        }
    }
}

#[test]
fn neighbours_are_seen_alike_whole_and_in_chunks() {
    let texts = || HIDDEN.into_iter().map(|(text, _)| text).chain(STAYS);
    for (first, second) in texts().flat_map(|first| texts().map(move |second| (first, second))) {
        for between in [" ", "", ".", "#", " (", "@", "\n"] {
            let text = format!("{first}{between}{second}");
            assert_eq!(in_chunks(&text, 1), redact(&text), "{text}");
        }
    }
}

#[test]
fn every_message_is_cleaned_before_an_expert_reads_it() {
    let request = testing::conversation([("user", PERSONAL), ("user", "fine")]).build();
    let edits = testing::edits();
    assert_eq!(RedactPii::handle(&request, &edits), Ok(Outcome::Proceed));
    let contents = testing::apply(&request, &edits).messages();
    assert_eq!([&contents[0].content, &contents[1].content], [CLEAN, "fine"]);
}
