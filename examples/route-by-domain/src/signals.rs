//! What gives a domain away. Words count as whole words only, so that "this" does not greet with "hi".

/// One sign of a domain, found in a text.
pub(crate) struct Signal {
    pub(crate) domain: &'static str,
    pub(crate) weight: f32,
    /// What was found, for the reason.
    pub(crate) sign: &'static str,
}

const CODING: &str = "coding";
const TECHNICAL: &str = "technical";
const DEPTH: &str = "multimodal_expert";
const LANGUAGES: &str = "multilingual_expert";

/// Words and phrases in lower case, and what each weighs. A phrase is matched on word borders.
const WORDS: &[(&str, f32, &[&str])] = &[
    (
        CODING,
        3.0,
        &[
            "python",
            "rust",
            "javascript",
            "typescript",
            "java",
            "sql",
            "bash",
            "regex",
            "json",
            "cobol",
            "haskell",
            "html",
            "css",
            "golang",
        ],
    ),
    (
        CODING,
        1.5,
        &[
            "function",
            "función",
            "class",
            "clase",
            "code",
            "código",
            "script",
            "program",
            "programa",
            "algorithm",
            "algoritmo",
            "compile error",
            "stack trace",
            "debug",
            "depura",
            "depuro",
            "refactor",
            "unit test",
            "fizzbuzz",
            "quicksort",
            "query",
            "web server",
            "driver",
            "controlador",
            "exception",
            "excepción",
        ],
    ),
    (TECHNICAL, 3.0, &["define", "definition of", "definición de", "convert", "convierte"]),
    (
        TECHNICAL,
        2.5,
        &["unit of", "unidad de", "what is the unit", "how many bits", "cuántos bits"],
    ),
    (
        TECHNICAL,
        2.0,
        &[
            "cpu",
            "gpu",
            "ram",
            "cache",
            "latency",
            "latencia",
            "throughput",
            "bandwidth",
            "protocol",
            "protocolo",
            "tcp",
            "udp",
            "http",
            "dns",
            "webassembly",
            "quantisation",
            "quantization",
            "kv cache",
            "voltage",
            "voltaje",
            "ohm's law",
            "ley de ohm",
            "energy",
            "pressure",
            "presión",
            "frequency",
            "absolute zero",
            "cero absoluto",
            "speed of light",
            "velocidad de la luz",
            "boiling point",
            "punto de ebullición",
            "ordenador cuántico",
            "byte",
            "celsius",
            "fahrenheit",
        ],
    ),
    (
        DEPTH,
        4.0,
        &[
            "in depth",
            "en profundidad",
            "analyse",
            "analyze",
            "analiza",
            "summarise",
            "summarize",
            "summary",
            "resume",
            "resumen",
            "compare",
            "compara",
            "essay",
            "ensayo",
        ],
    ),
    (
        LANGUAGES,
        4.0,
        &[
            "translate",
            "translation",
            "traduce",
            "traducción",
            "how do you say",
            "cómo se dice",
            "what language",
            "what languages",
            "qué idioma",
            "qué idiomas",
            "comment dit-on",
            "wie sagt man",
        ],
    ),
    (
        LANGUAGES,
        1.0,
        &[
            "french",
            "german",
            "italian",
            "portuguese",
            "spanish",
            "russian",
            "japanese",
            "chinese",
            "arabic",
            "hindi",
            "greek",
            "korean",
            "turkish",
            "english",
            "francés",
            "alemán",
            "italiano",
            "portugués",
            "ruso",
            "japonés",
            "chino",
            "árabe",
            "coreano",
            "griego",
        ],
    ),
];

/// Signs of source code, wherever they stand.
const CODE: &[(&str, f32)] = &[
    ("```", 3.0),
    ("def ", 1.5),
    ("fn ", 1.5),
    ("#include", 3.0),
    ("import ", 1.0),
    ("();", 2.0),
    ("{\n", 2.0),
    ("};", 2.0),
    ("=> ", 1.0),
    ("</", 1.5),
];

/// A text beyond this many characters is read by its beginning; what it asks stands there or nowhere.
const READ_MAX: usize = 4000;
/// Words of a text that is long enough to want depth.
const LONG: usize = 150;

/// Every sign found in `text`.
pub(crate) fn evidence(text: &str) -> Vec<Signal> {
    let read: String = text.chars().take(READ_MAX).collect();
    let words = words(&read.to_lowercase());
    let mut found = Vec::new();
    for (domain, weight, table) in WORDS {
        // A domain's table counts once, for its longest match: synonyms do not add up.
        let sign = table.iter().filter(|phrase| words.contains(&format!(" {phrase} ")));
        if let Some(sign) = sign.max_by_key(|phrase| phrase.len()) {
            found.push(Signal { domain, weight: *weight, sign });
        }
    }
    let code = CODE.iter().filter(|(sign, _)| read.contains(sign));
    found.extend(code.map(|&(sign, weight)| Signal { domain: CODING, weight, sign: sign.trim() }));
    if foreign(&read) {
        found.push(Signal { domain: LANGUAGES, weight: 3.0, sign: "another script" });
    }
    if words.split(' ').count() > LONG {
        found.push(Signal { domain: DEPTH, weight: 1.5, sign: "a long text" });
    }
    found
}

/// The words of a text, each between single blanks.
fn words(text: &str) -> String {
    let mut words = String::from(" ");
    for word in text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '\'')) {
        let word = word.trim_matches(['-', '\'']);
        if !word.is_empty() {
            words.push_str(word);
            words.push(' ');
        }
    }
    words
}

/// Whether a good part of the letters is neither Latin nor a symbol.
fn foreign(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let strange = text.chars().filter(|c| c.is_alphabetic() && *c > '\u{24f}').count();
    strange * 3 > letters
}
