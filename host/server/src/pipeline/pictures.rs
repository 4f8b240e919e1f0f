//! Images on their way past the policies, which see text. A mark stands in the text for each image;
//! when the call leaves the policies, an image stands in place of each mark again.

use signalbox_engine::{Image, Message, Part};
use signalbox_policy::IMAGE_MARK;

use crate::images::Room;

/// The images of one call, and the memory they were granted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pictures {
    /// By the client's message, and in the order of its marks.
    of_message: Vec<Vec<Image>>,
    _room: Option<Room>,
}

impl Pictures {
    /// One list per message of the client's.
    pub(crate) fn new(of_message: Vec<Vec<Image>>, room: Room) -> Self {
        Self { of_message, _room: Some(room) }
    }

    /// A message as the policies left it, with its images in place of its marks. The first mark of a
    /// message is its first image, whatever stands around it; marks beyond its images are dropped,
    /// and so are images without a mark.
    pub(super) fn message(&self, message: &signalbox_policy::Message) -> Message {
        let mut images = self.of(message).iter();
        let mut texts = message.content.split(IMAGE_MARK);
        let mut text = texts.next().unwrap_or_default().to_owned();
        let mut content = Vec::new();
        for next in texts {
            if let Some(image) = images.next() {
                content.extend(spoken(&mut text));
                content.push(Part::Image(image.clone()));
            }
            text.push_str(next);
        }
        content.extend(spoken(&mut text));
        if content.is_empty() {
            content.push(Part::Text(text));
        }
        Message::of(&message.role, content)
    }

    /// How many images the messages still show.
    pub(super) fn shown(&self, messages: &[signalbox_policy::Message]) -> usize {
        let marks =
            |message: &signalbox_policy::Message| message.content.matches(IMAGE_MARK).count();
        messages.iter().map(|message| marks(message).min(self.of(message).len())).sum()
    }

    fn of(&self, message: &signalbox_policy::Message) -> &[Image] {
        let own = message.origin.and_then(|index| self.of_message.get(index));
        own.map_or(&[], Vec::as_slice)
    }
}

/// Takes the text out, if there is any.
fn spoken(text: &mut String) -> Option<Part> {
    (!text.is_empty()).then(|| Part::Text(std::mem::take(text)))
}

#[cfg(test)]
mod tests {
    use signalbox_engine::ImageLimits;

    use super::*;

    /// A white picture, `width` pixels wide: enough to distinguish pictures.
    fn image(width: u8) -> Image {
        let limits = ImageLimits { bytes_max: 1 << 10, pixels_max: 1 << 10 };
        Image::decode(&crate::images::tests::png(width, 1), &limits).unwrap()
    }

    fn said(origin: Option<usize>, content: &str) -> signalbox_policy::Message {
        signalbox_policy::Message { role: "user".into(), content: content.into(), origin }
    }

    /// Text as it is, images by their width.
    fn described(message: &Message) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Image(image) => format!("<{}>", image.width()),
        };
        message.content.iter().map(part).collect()
    }

    fn check(origin: Option<usize>, content: &str, expect: &str) {
        let of_message = vec![vec![image(1)], vec![], vec![image(2), image(3)]];
        let pictures = Pictures { of_message, _room: None };
        let message = pictures.message(&said(origin, content));
        assert_eq!(described(&message), expect, "{content}");
        assert!(!message.content.is_empty());
        let empty = |part: &Part| matches!(part, Part::Text(text) if text.is_empty());
        assert!(message.content.len() == 1 || !message.content.iter().any(empty));
    }

    #[test]
    fn images_stand_where_their_marks_do() {
        check(Some(0), "\u{fffc}What is this?", "<1>What is this?");
        check(Some(2), "from \u{fffc} to \u{fffc}.", "from <2> to <3>.");
        check(Some(2), "\u{fffc}\u{fffc}", "<2><3>");
        check(Some(1), "no image", "no image");
        check(Some(1), "", "");
    }

    #[test]
    fn images_go_with_their_marks_and_strange_marks_go_alone() {
        check(Some(2), "only \u{fffc}", "only <2>");
        check(Some(0), "", "");
        check(Some(0), "a\u{fffc}b\u{fffc}c", "a<1>bc");
        check(None, "put in by a policy: \u{fffc}!", "put in by a policy: !");
        check(Some(9), "\u{fffc}", "");
    }

    #[test]
    fn what_a_policy_takes_out_of_one_message_moves_nothing_in_another() {
        let of_message = vec![vec![image(1)], vec![image(2)]];
        let pictures = Pictures { of_message, _room: None };
        let left = [said(Some(0), ""), said(None, "summary"), said(Some(1), "\u{fffc}?")];
        assert_eq!(
            left.each_ref().map(|m| described(&pictures.message(m))),
            ["", "summary", "<2>?"]
        );
        assert_eq!(pictures.shown(&left), 1);
    }
}
