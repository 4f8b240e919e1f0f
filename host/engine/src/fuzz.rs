//! What strangers send, as fuzzers send it: any bytes. The suite runs the target for a second on bytes
//! drawn at random; `tests/fuzz` runs it under coverage guidance until it is stopped.

use crate::template;

/// A chat template's source is made ready and compiled, and a renderer's answer is read, whatever they
/// are. Rendering is not tried here: it is unbounded by nature, so it has a process of its own.
pub fn template(bytes: &[u8]) {
    template::read_any(bytes);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn any_template_is_compiled_or_refused() {
        bolero::check!().with_test_time(Duration::from_secs(1)).for_each(super::template);
    }
}
