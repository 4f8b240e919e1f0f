//! The keyword router that the classifier took the place of, as the baseline of the evaluation: words, phrases and
//! signs, each with its points.

/// Something seen in a text.
struct Signal {
    domain: &'static str,
    points: f32,
}

const CODING: &str = "coding";
const TECHNICAL: &str = "technical";
const LONG_TEXT: &str = "multimodal_expert";
const LANGUAGES: &str = "multilingual_expert";
const GENERAL: &str = "general";

/// Domain, points, and words or phrases in lower case. `^` stands for the beginning of the text, a
/// `*` at the end for any ending of the word.
const PHRASES: &[(&str, f32, &str)] = &[
    (CODING, 3.0, "python, javascript, typescript, golang, haskell, cobol, fortran, kotlin, sql"),
    (CODING, 3.0, "bash, regex, regexp, fizzbuzz, numpy, dockerfile, html, css, kubernetes"),
    (CODING, 3.0, "in rust, in java, in ruby, in swift, in scala, en rust, en java, c#, php"),
    (CODING, 3.0, "^debug*, ^refactor*, ^depura*, stack trace, traceback, segfault, unit test"),
    (CODING, 2.0, "write a function, write a program, write a script, escribe una función"),
    (CODING, 2.0, "escribe un programa, function that, función que, source code, código fuente"),
    (CODING, 2.0, "write code, code review, bug, bugs, linked list, data structure, pull request"),
    (CODING, 1.0, "code, código, function, función, algorithm, algoritmo, class, compile, script"),
    (TECHNICAL, 3.0, "^define, ^convert, ^convierte, ^definición de, ^definition of"),
    (TECHNICAL, 2.0, "unit of, unidad de, stand for, speed of light"),
    (TECHNICAL, 2.0, "boiling point, melting point, absolute zero, ohm's law, kv cache, cache"),
    (TECHNICAL, 2.0, "cpu, gpu, ram, tcp, udp, http, https, dns, ip address, protocol, protocolo"),
    (TECHNICAL, 2.0, "latency, latencia, throughput, bandwidth, ancho de banda, webassembly"),
    (TECHNICAL, 2.0, "compiler, compilador, operating system, sistema operativo, quantis*"),
    (TECHNICAL, 2.0, "quantiz*, cuantización, voltage, voltaje, entropy, entropía, density"),
    (TECHNICAL, 2.0, "densidad, kelvin"),
    (TECHNICAL, 2.0, "celsius, fahrenheit, hexadecimal, bits, byte, bytes, gigabyte*, gib, watts"),
    (TECHNICAL, 2.0, "joules, pascals, radians, hertz, volts, ohms, kilomet*, kilóm*, centimet*"),
    (TECHNICAL, 2.0, "quantum, cuántic*, semiconductor*, transistor*"),
    (TECHNICAL, 1.0, "ordenador, ordenadores"),
    (TECHNICAL, 1.0, "miles, millas, inch*, pulgada*, pound*, libra*, kilogram*, ounce*, gallon*"),
    (TECHNICAL, 1.0, "litres, liters, energy, pressure, presión, frequency, fuerza, corriente"),
    (TECHNICAL, 1.0, "binary, degrees, grados, server, network, database, hardware, software"),
    (LONG_TEXT, 3.0, "^analyse, ^analyze, ^analiza, ^analizar, ^summarise, ^summarize, ^resume"),
    (LONG_TEXT, 3.0, "explain in depth, in depth, explica en profundidad, en profundidad"),
    (LONG_TEXT, 3.0, "^resumen"),
    (LONG_TEXT, 2.0, "in detail, en detalle, essay, ensayo, summary of, resumen de, this text"),
    (LONG_TEXT, 2.0, "este texto, pros and cons, advantages and disadvantages, ventajas y"),
    (LONG_TEXT, 1.0, "^explain, ^explica, summar*, compare, compara, image, picture, imagen, foto"),
    (LANGUAGES, 3.0, "translat*, traduc*, cómo se dice, como se dice, how do you say, how to say"),
    (LANGUAGES, 3.0, "comment dit on, wie sagt man, come si dice, como se diz, what language"),
    (LANGUAGES, 3.0, "which language, qué idioma, que idioma, what languages, qué idiomas"),
    (LANGUAGES, 1.0, "french, german, italian, portuguese, spanish, russian, japanese, chinese"),
    (LANGUAGES, 1.0, "arabic, hindi, greek, korean, turkish, polish, dutch, latin, finnish"),
    (LANGUAGES, 1.0, "swedish"),
    (LANGUAGES, 1.0, "francés, alemán, italiano, portugués, español, inglés, ruso, japonés, chino"),
    (LANGUAGES, 1.0, "árabe, griego, coreano, turco, polaco, espagnol, spanisch, in english"),
    (LANGUAGES, 2.0, "bonjour, merci, s'il vous plaît, guten tag, danke, bitte, buongiorno"),
    (LANGUAGES, 2.0, "grazie, obrigado, obrigada, est ce que, ich bin, was ist, je suis"),
    (GENERAL, 1.0, "hello, hi, hola, good morning, good night, buenos días, buenas noches, thanks"),
    (GENERAL, 1.0, "thank you, gracias, goodbye, adiós, joke, chiste, fun fact, how are you"),
    (GENERAL, 2.0, "who are you, quién eres, what is your name, cómo te llamas, what can you do"),
    (GENERAL, 2.0, "capital of, capital city, capital de"),
];

/// How a line of code begins, in languages that people paste.
const CODE_LINES: [&str; 10] = [
    "def ", "fn ", "pub fn ", "class ", "import ", "from ", "#include", "return ", "let ", "const ",
];

/// Marks that prose does not have.
const CODE_MARKS: [&str; 10] = ["```", "();", "=>", "==", "!=", "};", "</", "){", ") {", "[i]"];

/// Words that ask nothing, in front of what is asked.
const POLITE: [&str; 6] =
    [" please", " por favor", " can you", " could you", " puedes", " podrías"];

/// Texts longer than this many characters are work for the long-text expert.
const LONG_TEXT_CHARS: usize = 600;

/// The domain with the most points; the general one when none has half of them.
pub(super) fn domain(text: &str) -> &'static str {
    let found = evidence(text);
    let points = |domain: &str| {
        let own = found.iter().filter(|signal| signal.domain == domain);
        own.fold(0.0, |points, signal| points + signal.points)
    };
    let total = found.iter().fold(0.0, |points, signal| points + signal.points);
    let domains = found.iter().map(|signal| signal.domain);
    let best = domains.max_by(|a, b| points(a).total_cmp(&points(b))).unwrap_or(GENERAL);
    if points(best) / (total + 1.0) < 0.5 { GENERAL } else { best }
}

/// Everything in `text` that speaks for a domain.
fn evidence(text: &str) -> Vec<Signal> {
    let words = spaced_words(text);
    let mut found: Vec<Signal> = PHRASES
        .iter()
        .flat_map(|&(domain, points, list)| list.split(", ").map(move |p| (domain, points, p)))
        .filter(|(_, _, phrase)| says(&words, phrase))
        .map(|(domain, points, _)| Signal { domain, points })
        .collect();
    let mut sign = |seen: bool, domain, points| {
        found.extend(seen.then_some(Signal { domain, points }));
    };
    sign(looks_like_code(text), CODING, 3.0);
    sign(is_foreign_script(text), LANGUAGES, 3.0);
    sign(text.chars().count() > LONG_TEXT_CHARS, LONG_TEXT, 1.0);
    found
}

/// The words of `text` in lower case, a space around each: a phrase between spaces is then found
/// as whole words only, and "hi" is not found in "this".
fn spaced_words(text: &str) -> String {
    let lower = text.to_lowercase().replace('’', "'");
    let words = lower.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '#');
    let words = words.map(|word| word.trim_matches('\'')).filter(|word| !word.is_empty());
    let mut spaced: String = words.flat_map(|word| [" ", word]).collect();
    while let Some(polite) = POLITE.iter().find(|polite| spaced.starts_with(*polite)) {
        spaced.drain(..polite.len());
    }
    spaced + " "
}

fn says(words: &str, phrase: &str) -> bool {
    let (at_start, phrase) = phrase.strip_prefix('^').map_or((false, phrase), |p| (true, p));
    let pattern = match phrase.strip_suffix('*') {
        Some(stem) => format!(" {stem}"),
        None => format!(" {phrase} "),
    };
    if at_start { words.starts_with(&pattern) } else { words.contains(&pattern) }
}

fn looks_like_code(text: &str) -> bool {
    let is_code = |line: &str| {
        let begins = CODE_LINES.iter().any(|start| line.starts_with(start));
        line.ends_with([';', '{', '}']) || begins && line.contains(['(', '=', ':', '<', '.'])
    };
    CODE_MARKS.iter().any(|mark| text.contains(mark)) || text.lines().map(str::trim).any(is_code)
}

/// Whether a fifth of the letters or more are outside the Latin alphabet.
fn is_foreign_script(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let foreign = text.chars().filter(|c| c.is_alphabetic() && *c > '\u{24f}').count();
    foreign > 0 && foreign * 5 >= letters
}
