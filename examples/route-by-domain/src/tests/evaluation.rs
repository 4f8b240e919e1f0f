//! How often the router is right on `prompts/evaluation.txt`, which nothing is trained on, beside the keyword router
//! before it: `cargo test --workspace --lib evaluated -- --nocapture` prints the table.

use signalbox_sdk::{Decision, Route, testing};

use super::{EXPERTS, keywords, menu};
use crate::RouteByDomain;

const EVALUATION: &str = include_str!("../../prompts/evaluation.txt");
const DEVELOPMENT: &str = include_str!("../../prompts/development.txt");
/// In percent.
const RIGHT_MIN: usize = 90;
const FLIPS_MAX: usize = 10;

/// One prompt, alone or as the last of a conversation.
struct Case {
    domain: &'static str,
    turns: Vec<String>,
    /// It says the same as the case before it.
    is_paraphrase: bool,
}

fn cases(file: &str) -> Vec<Case> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let case = |line: &str| {
        let is_paraphrase = line.starts_with("~ ");
        let (domain, prompt) = line.trim_start_matches("~ ").split_once(": ").unwrap();
        let domain = EXPERTS.iter().find(|(_, known)| *known == domain).unwrap().1;
        let turns = prompt.replace("\\n", "\n").replace("\\t", "\t");
        Case { domain, turns: turns.split(" || ").map(str::to_owned).collect(), is_paraphrase }
    };
    lines.map(case).collect()
}

fn decide(case: &Case) -> Decision {
    let (last, earlier) = case.turns.split_last().unwrap();
    let turns = earlier.iter().flat_map(|turn| [("user", turn.as_str()), ("assistant", "Done.")]);
    let call = testing::conversation(turns.chain([("user", last.as_str())])).build();
    RouteByDomain::choose(&call, &menu()).unwrap()
}

fn chosen(decision: &Decision) -> &str {
    &decision.tags.iter().find(|(key, _)| key == "domain").unwrap().1
}

fn percent(part: usize, whole: usize) -> usize {
    part * 100 / whole.max(1)
}

/// How many of the prompts of each domain were right, by the classifier and by keywords.
fn table(cases: &[Case]) -> [usize; 2] {
    let keyword = |case: &Case| keywords::domain(case.turns.last().unwrap()) == case.domain;
    let mut right = [0, 0];
    println!("{:<22}{:>8}{:>12}{:>10}", "domain", "prompts", "classifier", "keywords");
    for (_, domain) in EXPERTS {
        let own: Vec<_> = cases.iter().filter(|case| case.domain == domain).collect();
        let by_classifier = own.iter().filter(|case| chosen(&decide(case)) == domain).count();
        let by_keywords = own.iter().filter(|case| keyword(case)).count();
        println!("{domain:<22}{:>8}{by_classifier:>12}{by_keywords:>10}", own.len());
        right = [right[0] + by_classifier, right[1] + by_keywords];
    }
    let share = right.map(|right| percent(right, cases.len()));
    println!("{:<22}{:>8}{:>10} %{:>8} %", "all", cases.len(), share[0], share[1]);
    right
}

/// How many paraphrases go elsewhere than what they paraphrase, by the classifier and by keywords.
fn flips(cases: &[Case]) -> (usize, [usize; 2]) {
    let pairs: Vec<_> = cases.windows(2).filter(|pair| pair[1].is_paraphrase).collect();
    let by_classifier =
        pairs.iter().filter(|p| chosen(&decide(&p[0])) != chosen(&decide(&p[1]))).count();
    let keyword = |case: &Case| keywords::domain(&case.turns[0]);
    let by_keywords = pairs.iter().filter(|p| keyword(&p[0]) != keyword(&p[1])).count();
    (pairs.len(), [by_classifier, by_keywords])
}

/// Of the decisions as sure as this, how many are right.
fn calibration(cases: &[Case]) {
    let bands = [0.0, 0.4, 0.6, 0.8, 1.01];
    for band in bands.windows(2) {
        let of_band = |case: &&Case| (band[0]..band[1]).contains(&decide(case).confidence);
        let of_band: Vec<_> = cases.iter().filter(of_band).collect();
        let right = of_band.iter().filter(|case| chosen(&decide(case)) == case.domain).count();
        let share = percent(right, of_band.len());
        println!("confidence {:.1} and more: {} prompts, {share} % right", band[0], of_band.len());
    }
}

#[test]
fn most_of_the_evaluated_prompts_find_their_domain() {
    table(&cases(DEVELOPMENT));
    let cases = cases(EVALUATION);
    assert!(cases.len() >= 300, "only {} prompts", cases.len());
    let [right, by_keywords] = table(&cases);
    calibration(&cases);
    let (pairs, [flipped, keywords_flipped]) = flips(&cases);
    println!("{pairs} paraphrases: {flipped} go elsewhere, by keywords {keywords_flipped}");
    for case in cases.iter().filter(|case| chosen(&decide(case)) != case.domain) {
        println!("{} wanted: {:?} -> {}", case.domain, case.turns, decide(case).reason);
    }
    assert!(percent(right, cases.len()) >= RIGHT_MIN && right > by_keywords, "{right} right");
    assert!(pairs >= 50 && percent(flipped, pairs) <= FLIPS_MAX, "{flipped} of {pairs} flip");
}
