//! Whether a line is code, by the marks that prose does not have and by how lines of code begin.

/// How a line begins in languages that people paste, with what else stands in it.
const CODE_LINES: [(&str, &str); 40] = [
    ("def ", "("),
    ("fn ", "("),
    ("pub fn ", "("),
    ("func ", "("),
    ("function ", "("),
    ("class ", ""),
    ("import ", ""),
    ("from ", " import "),
    ("#include", ""),
    ("#!/", ""),
    ("return ", ""),
    ("let ", "="),
    ("const ", "="),
    ("var ", "="),
    ("public ", "("),
    ("private ", "("),
    ("static ", "("),
    ("using ", ";"),
    ("package ", ""),
    ("console.", "("),
    ("print(", ")"),
    ("select ", " from "),
    ("insert into ", "("),
    ("update ", " set "),
    ("delete from ", ""),
    ("create table ", "("),
    ("alter table ", ""),
    ("$ ", ""),
    ("sudo ", ""),
    ("docker ", ""),
    ("kubectl ", ""),
    ("git ", ""),
    ("npm ", ""),
    ("pip ", ""),
    ("cargo ", ""),
    ("curl ", ""),
    ("chmod ", ""),
    ("grep ", ""),
    ("traceback ", ""),
    ("assert ", "="),
];

/// Marks that prose does not have.
const CODE_MARKS: [&str; 15] = [
    "```", "();", "=>", "==", "!=", "};", "</", "){", ") {", "[i]", " && ", " || ", "::", " += ",
    "/>",
];

/// Whether a line without space around it is one of a program.
pub(crate) fn is_code(line: &str) -> bool {
    has_mark(line)
        || line.len() > 1 && line.ends_with([';', '{', '}'])
        || line.contains(|c: char| "(=:<>./{*-_|#".contains(c)) && begins_like_code(line)
        || is_call(line)
}

/// Whether one of the marks stands in a line, which is read once for all of them.
fn has_mark(line: &str) -> bool {
    let line = line.as_bytes();
    let begins = |at: &usize| b"`(=!}<)[:/ ".contains(&line[*at]);
    let mut places = (0..line.len()).filter(begins);
    places.any(|at| CODE_MARKS.iter().any(|mark| line[at..].starts_with(mark.as_bytes())))
}

fn begins_like_code(line: &str) -> bool {
    CODE_LINES.iter().any(|(start, more)| {
        let begins = line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
        begins && line[start.len()..].to_ascii_lowercase().contains(more.trim_start())
    })
}

/// A call of a function and nothing else: `print(x)`, `foo.bar()`.
fn is_call(line: &str) -> bool {
    let (name, rest) = line.split_once('(').unwrap_or_default();
    let identifier = |c: char| c.is_ascii_alphanumeric() || "_.:".contains(c);
    !name.is_empty() && rest.ends_with(')') && name.chars().all(identifier)
}
