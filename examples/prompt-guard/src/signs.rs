//! The signs, each with what is said of a call that shows it.

/// Groups of words, one of each of which stands near the others and in this order; `*` stands for any ending.
struct Sign {
    says: &'static str,
    groups: &'static [&'static str],
}

/// How many words apart two of a sign may stand.
const NEAR: usize = 5;

const ASKS_TO_IGNORE: &str = "asks to set instructions aside";
const ASKS_TO_REVEAL: &str = "asks for hidden instructions";
const ASKS_TO_BREAK: &str = "asks for a role without rules";

const SIGNS: [Sign; 8] = [
    Sign {
        says: ASKS_TO_IGNORE,
        groups: &[
            "ignore disregard forget override bypass overlook",
            "previous prior above earlier preceding your system all any",
            "instruction* prompt* rule* guideline* directive* restriction* guardrail*",
        ],
    },
    Sign {
        says: ASKS_TO_IGNORE,
        groups: &[
            "ignora ignore olvida olvidate descarta omite salta saltate",
            "instrucciones reglas directrices ordenes restricciones indicaciones",
            "anteriores previas tus sistema arriba recibidas todas",
        ],
    },
    Sign {
        says: ASKS_TO_IGNORE,
        groups: &[
            "ignora olvida descarta omite saltate",
            "tus todas",
            "instrucciones reglas directrices normas",
        ],
    },
    Sign {
        says: ASKS_TO_REVEAL,
        groups: &[
            "reveal show print repeat output leak tell display dump give",
            "your the hidden initial",
            "system hidden initial secret",
            "prompt instruction* message",
        ],
    },
    Sign {
        says: ASKS_TO_REVEAL,
        groups: &[
            "revela muestra muestrame imprime repite dime ensename dame",
            "tu tus el las",
            "prompt instrucciones mensaje",
            "sistema iniciales inicial ocultas oculto secretas",
        ],
    },
    Sign {
        says: ASKS_TO_BREAK,
        groups: &[
            "you act pretend behave roleplay respond become",
            "dan jailbroken unrestricted unfiltered uncensored evil",
        ],
    },
    Sign {
        says: ASKS_TO_BREAK,
        groups: &[
            "you act pretend behave respond answer eres actua finge responde",
            "without no any free sin",
            "restriction* rules filter* guideline* limits censorship restricciones reglas filtros censura",
        ],
    },
    Sign { says: ASKS_TO_BREAK, groups: &["do haz", "anything cualquier", "now ahora"] },
];

/// What chat templates write and people don't.
const TEMPLATE_MARKS: [&str; 10] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|system|>",
    "<|start_header_id|>",
    "<|eot_id|>",
    "[/inst]",
    "<<sys>>",
    "<start_of_turn>",
    "### system:",
    "<|endoftext|>",
];

/// What is said of the first sign that `text` shows.
pub(crate) fn first(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    if TEMPLATE_MARKS.iter().any(|mark| lower.contains(mark)) {
        return Some("writes the marks of a chat template");
    }
    // Tag characters and marks of direction carry text that people don't see.
    let unseen = |c: char| {
        ('\u{e0020}'..='\u{e007f}').contains(&c) || ('\u{202a}'..='\u{202e}').contains(&c)
    };
    if text.contains(unseen) {
        return Some("carries letters that nobody sees");
    }
    let words: Vec<String> = lower
        .split(|c: char| !c.is_alphanumeric() && !"\u{200b}\u{200c}\u{200d}\u{ad}".contains(c))
        .map(|word| word.chars().filter_map(plain).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect();
    SIGNS.iter().find(|sign| shows(&words, sign.groups)).map(|sign| sign.says)
}

/// The letter without its accent; nothing for one that only parts a word.
fn plain(c: char) -> Option<char> {
    match c {
        '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{ad}' => None,
        'á' => Some('a'),
        'é' => Some('e'),
        'í' => Some('i'),
        'ó' => Some('o'),
        'ú' => Some('u'),
        'ñ' => Some('n'),
        other => Some(other),
    }
}

/// Whether words of all groups follow one another, each near the one before.
fn shows(words: &[String], groups: &[&str]) -> bool {
    let Some((first, rest)) = groups.split_first() else { return true };
    words.iter().enumerate().any(|(at, word)| is_of(word, first) && goes_on(&words[at + 1..], rest))
}

fn goes_on(words: &[String], groups: &[&str]) -> bool {
    let near = &words[..words.len().min(NEAR)];
    let Some((first, rest)) = groups.split_first() else { return true };
    near.iter().enumerate().any(|(at, word)| is_of(word, first) && goes_on(&words[at + 1..], rest))
}

fn is_of(word: &str, group: &str) -> bool {
    group.split(' ').any(|known| match known.strip_suffix('*') {
        Some(stem) => word.starts_with(stem),
        None => word == known,
    })
}
