//! Conversations in the one order that every chat template takes, so that what reaches an expert does not
//! depend on which one was asked: one system prompt first, then turns of one speaker after the other.

use std::borrow::Cow;

use crate::{Message, Part};

const SYSTEM: &str = "system";
const USER: &str = "user";
/// Whose turns in a row are one turn. The results of several tools are several.
const JOINED: [&str; 3] = [SYSTEM, USER, "assistant"];
/// Stands between what was said in a row.
const BLANK_LINE: &str = "\n\n";

/// System prompts without any other message are the user's words. One further down stays where
/// `later_system` says that the template has a place for it, and is the user's as well where it has none.
/// Several messages of one role in a row become one, with a blank line between them.
pub(super) fn arranged(messages: &[Message], later_system: bool) -> Vec<Message> {
    let leading = messages.iter().take_while(|message| message.role == SYSTEM).count();
    let alone = leading == messages.len();
    let mut arranged: Vec<Message> = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        let is_users = message.role == SYSTEM && (alone || (at >= leading && !later_system));
        let role = if is_users { USER } else { message.role.as_str() };
        match arranged.last_mut() {
            Some(last) if last.role == role && JOINED.contains(&role) && last.calls.is_empty() => {
                join(&mut last.content, &message.content);
                last.calls.clone_from(&message.calls);
            }
            _ => arranged.push(Message { role: role.to_owned(), ..message.clone() }),
        }
    }
    arranged
}

/// Texts that meet become one, since templates trim each by itself.
fn join(content: &mut Vec<Part>, more: &[Part]) {
    let mut more: Cow<'_, [Part]> = more.into();
    match (content.last_mut(), more.first()) {
        (Some(Part::Text(text)), Some(Part::Text(next))) => {
            text.push_str(BLANK_LINE);
            text.push_str(next);
            more.to_mut().remove(0);
        }
        (Some(Part::Text(text)), Some(Part::Image(_))) => text.push_str(BLANK_LINE),
        (Some(Part::Image(_)), Some(Part::Text(next))) => {
            let next = format!("{BLANK_LINE}{next}");
            more.to_mut()[0] = Part::Text(next);
        }
        _ => {}
    }
    content.extend(more.into_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages as `role: text`, before and behind.
    fn check(turns: &[&str], later_system: bool, expect: &[&str]) {
        let messages: Vec<Message> = turns
            .iter()
            .map(|turn| turn.split_once(": ").unwrap())
            .map(|(role, text)| Message::text(role, text))
            .collect();
        let shown = |message: &Message| {
            format!("{}: {}", message.role, message.texts().collect::<String>())
        };
        let found: Vec<String> = arranged(&messages, later_system).iter().map(shown).collect();
        assert_eq!(found, expect, "{turns:?}");
    }

    #[test]
    fn every_conversation_reaches_every_expert_in_one_order() {
        check(&["system: a", "system: b", "user: c"], true, &["system: a\n\nb", "user: c"]);
        check(&["user: a", "user: b"], true, &["user: a\n\nb"]);
        check(&["system: a"], true, &["user: a"]);
        check(&["system: a", "system: b"], false, &["user: a\n\nb"]);
        check(
            &["user: a", "assistant: b", "assistant: c"],
            true,
            &["user: a", "assistant: b\n\nc"],
        );
        check(&["user: a", "tool: 1", "tool: 2"], true, &["user: a", "tool: 1", "tool: 2"]);
        let middle = ["user: a", "assistant: b", "system: c", "user: d"];
        check(&middle, true, &middle);
        check(&middle, false, &["user: a", "assistant: b", "user: c\n\nd"]);
        check(&["user: a", "system: b", "user: c"], false, &["user: a\n\nb\n\nc"]);
        check(&["system: a", "user: b"], false, &["system: a", "user: b"]);
    }

    #[test]
    fn pictures_stay_between_the_texts() {
        let image = || Part::Image(crate::Image::raw(1, 1, vec![0; 3]));
        let text = |text: &str| Part::Text(text.into());
        let user = |content| Message::of(USER, content);
        let turns = [user(vec![text("a"), image()]), user(vec![text("b")]), user(vec![image()])];
        let expected = [text("a"), image(), text("\n\nb\n\n"), image()];
        assert_eq!(arranged(&turns, true)[0].content, expected);
    }
}
