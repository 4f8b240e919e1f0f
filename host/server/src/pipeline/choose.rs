//! Who answers: the expert the client named, the route policy's choice, or the native default.

use std::cmp::Reverse;

use signalbox_engine::EngineError;
use signalbox_policy::{Decision, ExpertState, ExpertView, Plan, PolicyRef, Snapshot};

use super::{
    call::Call,
    choice::{Choice, Route},
    refusal::Refusal,
};

/// The domain whose experts answer when no router says otherwise.
const GENERAL: &str = "general";
/// The tag of what a name means today.
const LATEST: &str = ":latest";
/// What experts that can see are capable of.
const IMAGES: &str = "images";

/// What experts are capable of that make vectors of texts, and nothing else; or score one text for another.
const EMBEDDINGS: &str = "embeddings";
const RERANK: &str = "rerank";

/// Chooses who answers. Who makes vectors does not converse, so no router hears of it.
pub(super) async fn choose(
    mut menu: Vec<ExpertView>,
    policies: &Snapshot,
    call: &Call,
) -> Result<Choice, Refusal> {
    if let Some(named) = &call.view.model {
        return client_named(named, &menu);
    }
    menu.retain(converses);
    if menu.iter().all(|expert| matches!(expert.state, ExpertState::Failed(_))) {
        return Err(Refusal::NoExpert { failed: menu.iter().map(ailment).collect() });
    }
    match policies.route(&call.view, &menu).await? {
        Some(decision) => {
            let told = policies.told(&call.view, &decision);
            Ok(Choice { told, ..routed(decision) })
        }
        None => native(&menu, call.has_images(), policies.router()),
    }
}

/// Chooses who makes vectors.
pub(super) fn encoder(
    menu: &[ExpertView],
    named: Option<&str>,
) -> Result<(String, Choice), Refusal> {
    if let Some(named) = named {
        return Ok((by_name(named, menu)?.to_owned(), client_named(named, menu)?));
    }
    let none = || EngineError::NoVectors { expert: None, encoding: vec![] };
    let expert = best(menu, EMBEDDINGS).ok_or_else(none)?;
    let reason = "embedding expert of highest priority".to_owned();
    Ok((expert.id.clone(), plain(Route::Default, &expert.id, reason)))
}

/// Chooses who ranks, and says whether it scores pairs of texts: a cross-encoder where there is one, or else who makes
/// vectors.
pub(super) fn ranker(
    menu: &[ExpertView],
    named: Option<&str>,
) -> Result<(String, Choice, bool), Refusal> {
    if let (None, Some(expert)) = (named, best(menu, RERANK)) {
        let reason = "reranking expert of highest priority".to_owned();
        return Ok((expert.id.clone(), plain(Route::Default, &expert.id, reason), true));
    }
    let (id, choice) = encoder(menu, named)?;
    let scores = menu.iter().any(|expert| expert.id == id && can(expert, RERANK));
    Ok((id, choice, scores))
}

fn converses(expert: &ExpertView) -> bool {
    !can(expert, EMBEDDINGS) && !can(expert, RERANK)
}

/// The one of highest priority that can do this and can be asked.
fn best<'m>(menu: &'m [ExpertView], what: &str) -> Option<&'m ExpertView> {
    let able = menu.iter().filter(|expert| can(expert, what));
    let able = able.filter(|expert| !matches!(expert.state, ExpertState::Failed(_)));
    able.min_by_key(|expert| Reverse(expert.priority))
}

fn can(expert: &ExpertView, what: &str) -> bool {
    expert.capabilities.iter().any(|known| known == what)
}

fn client_named(named: &str, menu: &[ExpertView]) -> Result<Choice, Refusal> {
    let expert = by_name(named, menu)?;
    Ok(plain(Route::Client, expert, "the client named this expert".to_owned()))
}

fn by_name<'m>(named: &str, menu: &'m [ExpertView]) -> Result<&'m str, Refusal> {
    let ids = menu.iter().map(|expert| expert.id.as_str());
    find(named, ids.clone()).ok_or_else(|| {
        let known = ids.map(str::to_owned).collect();
        Refusal::UnknownExpert { asked: named.to_owned(), known }
    })
}

/// The id that a client means: it as it is, or without the tag that Ollama's clients put behind names.
pub(super) fn find<'m>(named: &str, ids: impl Iterator<Item = &'m str> + Clone) -> Option<&'m str> {
    let untagged = named.strip_suffix(LATEST).unwrap_or(named);
    ids.clone().find(|id| *id == named).or_else(|| ids.clone().find(|id| *id == untagged))
}

/// The same, or the one id that begins so.
pub(crate) fn find_begun<'m>(
    named: &str,
    ids: impl Iterator<Item = &'m str> + Clone,
) -> Option<&'m str> {
    let untagged = named.strip_suffix(LATEST).unwrap_or(named);
    let mut begun = ids.clone().filter(|id| !untagged.is_empty() && id.starts_with(untagged));
    find(named, ids).or(match (begun.next(), begun.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    })
}

fn routed(decision: Decision) -> Choice {
    let Decision { policy, plan, reason, confidence, tags } = decision;
    let (route, confidence) = (Route::Policy(policy), Some(confidence));
    Choice { route, plan, reason, confidence, tags, told: None }
}

/// Whom a call reaches if no policy has a say.
pub(super) fn unrouted(
    menu: &[ExpertView],
    named: Option<&str>,
    images: bool,
) -> Result<String, Refusal> {
    match named {
        Some(named) => by_name(named, menu).map(str::to_owned),
        None => default(menu, images).map(|(expert, _)| expert.id.clone()),
    }
}

/// Without a router, or when it failed.
fn native(
    menu: &[ExpertView],
    images: bool,
    failing: Option<&PolicyRef>,
) -> Result<Choice, Refusal> {
    let (expert, seeing) = default(menu, images)?;
    let what = if seeing { "seeing" } else { &expert.domain };
    let router = failing.map_or("no router".to_owned(), |id| format!("failing router {id}"));
    let reason = format!("{router}; {what} expert of highest priority");
    Ok(plain(Route::Default, &expert.id, reason))
}

/// The general expert of highest priority that can answer, else any other. A call with images prefers one that
/// can see; says whether it was chosen for that.
fn default(menu: &[ExpertView], images: bool) -> Result<(&ExpertView, bool), Refusal> {
    let able =
        || menu.iter().filter(|e| converses(e) && !matches!(e.state, ExpertState::Failed(_)));
    let highest = |e: &&ExpertView| Reverse(e.priority); // min_by_key keeps the operator's order
    let sees = |e: &&ExpertView| e.capabilities.iter().any(|known| known == IMAGES);
    let seeing = able().filter(|e| images && sees(e)).min_by_key(highest);
    let general = || able().filter(|e| e.domain == GENERAL).min_by_key(highest);
    match seeing.or_else(general).or_else(|| able().min_by_key(highest)) {
        Some(expert) => Ok((expert, seeing.is_some())),
        None => Err(Refusal::NoExpert { failed: menu.iter().map(ailment).collect() }),
    }
}

fn ailment(expert: &ExpertView) -> String {
    match &expert.state {
        ExpertState::Failed(reason) => format!("{}: {reason}", expert.id),
        _ => expert.id.clone(),
    }
}

fn plain(route: Route, expert: &str, reason: String) -> Choice {
    let plan = Plan::Expert(expert.to_owned());
    Choice { route, plan, reason, confidence: None, tags: vec![], told: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expert(id: &str, domain: &str, priority: i32, state: ExpertState) -> ExpertView {
        ExpertView {
            id: id.into(),
            domain: domain.into(),
            description: String::new(),
            priority,
            capabilities: vec![],
            context_length: 1024,
            state,
            resident_bytes: 0,
            queue_depth: 0,
            estimated_wait_ms: None,
            estimated_load_ms: None,
            tokens_per_second: None,
        }
    }

    fn check_native(menu: &[ExpertView], expect: &str) {
        let choice = native(menu, false, None).unwrap();
        assert_eq!(choice.route, Route::Default);
        assert!(matches!(&choice.plan, Plan::Expert(id) if id == expect), "{:?}", choice.plan);
    }

    #[test]
    fn the_native_default_prefers_general_then_priority() {
        use ExpertState::{Cold, Resident};
        let failed = || ExpertState::Failed("truncated".into());
        let coder = || expert("coder", "coding", 9, Resident);
        let general = || expert("general", "general", 1, Cold);
        check_native(&[coder(), general()], "general");
        check_native(&[general(), expert("second", "general", 1, Resident)], "general");
        check_native(&[general(), expert("better", "general", 2, Cold)], "better");
        check_native(&[expert("dead", "general", 5, failed()), coder()], "coder");
        let refusal = native(&[expert("dead", "general", 5, failed())], false, None).unwrap_err();
        assert_eq!(refusal.to_string(), "no expert can answer: dead: truncated");
    }

    #[test]
    fn who_makes_vectors_never_converses_and_nobody_else_makes_them() {
        let encoder = |id, priority, state| ExpertView {
            capabilities: vec![EMBEDDINGS.into()],
            ..expert(id, "general", priority, state)
        };
        let (small, large) =
            (encoder("small", 7, ExpertState::Cold), encoder("large", 9, ExpertState::Cold));
        let talker = || expert("talker", "general", 1, ExpertState::Resident);
        let menu =
            [small, large, talker(), encoder("dead", 99, ExpertState::Failed("torn".into()))];
        check_native(&menu, "talker");
        let (chosen, choice) = encoder_of(&menu, None);
        assert_eq!((chosen.as_str(), choice.route), ("large", Route::Default));
        let (chosen, choice) = encoder_of(&menu, Some("small:latest"));
        assert_eq!((chosen.as_str(), choice.route), ("small", Route::Client));
        let none = super::encoder(&[talker()], None).unwrap_err().to_string();
        assert!(none.contains("the experts here make no embeddings; have the operator"), "{none}");
    }

    fn encoder_of(menu: &[ExpertView], named: Option<&str>) -> (String, Choice) {
        super::encoder(menu, named).unwrap()
    }

    #[test]
    fn a_failing_router_is_named_as_such() {
        let menu = [expert("a", "general", 1, ExpertState::Resident)];
        let router = PolicyRef { name: "mine".into(), revision: "ab".repeat(32) };
        let choice = native(&menu, false, Some(&router)).unwrap();
        let expect = "failing router mine@abababababab; general expert of highest priority";
        assert_eq!(choice.reason, expect);
    }

    #[test]
    fn the_native_default_lets_those_see_who_can() {
        let seer = |priority, state| ExpertView {
            capabilities: vec!["chat".into(), "images".into()],
            ..expert("seer", "multimodal_expert", priority, state)
        };
        let general = || expert("general", "general", 9, ExpertState::Resident);
        let chosen = |menu: &[ExpertView], images| native(menu, images, None).unwrap();
        let menu = [general(), seer(1, ExpertState::Cold)];
        assert!(matches!(chosen(&menu, false).plan, Plan::Expert(id) if id == "general"));
        let choice = chosen(&menu, true);
        assert!(matches!(choice.plan, Plan::Expert(id) if id == "seer"));
        assert_eq!(choice.reason, "no router; seeing expert of highest priority");
        let blind = [general(), seer(1, ExpertState::Failed("torn".into()))];
        assert!(matches!(chosen(&blind, true).plan, Plan::Expert(id) if id == "general"));
    }

    #[test]
    fn a_name_may_have_the_tag_latest() {
        let check = |named, ids: &[&str], expect| {
            assert_eq!(find(named, ids.iter().copied()), expect, "{named}");
        };
        check("phi", &["phi"], Some("phi"));
        check("phi:latest", &["phi"], Some("phi"));
        check("phi:latest", &["phi", "phi:latest"], Some("phi:latest"));
        check("phi:7b", &["phi"], None);
        check(":latest", &["phi"], None);
    }

    #[test]
    fn the_beginning_of_one_name_will_do() {
        let check = |named, ids: &[&str], expect| {
            assert_eq!(find_begun(named, ids.iter().copied()), expect, "{named}");
        };
        check("phi4", &["phi4_fast", "qwen"], Some("phi4_fast"));
        check("phi4:latest", &["phi4_fast", "qwen"], Some("phi4_fast"));
        check("phi", &["phi3", "phi4"], None);
        check("phi3", &["phi3", "phi3_long"], Some("phi3"));
        check("", &["phi3"], None);
    }

    #[test]
    fn an_unknown_name_gets_the_known_ones() {
        let menu = [expert("a", "general", 1, ExpertState::Cold)];
        let refusal = client_named("b", &menu).unwrap_err().to_string();
        assert!(refusal.starts_with("there is no expert 'b'; name one of a, or"), "{refusal}");
    }
}
