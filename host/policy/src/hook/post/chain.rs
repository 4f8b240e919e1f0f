//! Post policies one behind the other: what one lets through is what the next is shown.

use std::{future::Future, time::Duration};

use super::{
    Ending, Step,
    window::{Action, Window},
};
use crate::{Failure, Limits, PolicyError, PolicyRef, Release, fallback::Next};

/// One policy's side of one reply. Scripted in tests.
pub(crate) trait Review: Sized + Send {
    /// Who reviews.
    fn policy(&self) -> &PolicyRef;

    /// What to do with the window, and how long that took it.
    fn step(
        &mut self,
        step: Step,
        window: &str,
    ) -> impl Future<Output = Result<(Action, Duration), Failure>> + Send;

    /// It did its part of the reply to the end.
    fn ended(&mut self);

    /// What happens after a failure. Skipped, held text passes unchanged; another is shown it first.
    fn recover(&mut self, failure: Failure) -> Next<Self>;
}

/// One policy with its window; `None` once it was skipped.
struct Link<R> {
    review: Option<R>,
    window: Window,
}

/// How a chain ended before its reply did.
#[derive(Clone)]
enum End {
    Stopped(PolicyRef),
    Failed(PolicyError),
}

/// The policies of one reply, in pipeline order.
pub(crate) struct Chain<R> {
    links: Vec<Link<R>>,
    end: Option<End>,
}

impl<R: Review> Chain<R> {
    pub(crate) fn new(reviews: impl IntoIterator<Item = R>, limits: &Limits) -> Self {
        let link = |review| Link { review: Some(review), window: Window::new(limits) };
        Self { links: reviews.into_iter().map(link).collect(), end: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// New text from the expert, for which the reply `waited`.
    pub(crate) async fn push(
        &mut self,
        text: String,
        waited: Duration,
    ) -> Result<Release, PolicyError> {
        self.run(text, waited, None).await
    }

    /// The reply is complete.
    pub(crate) async fn finish(&mut self, ending: Ending) -> Result<Release, PolicyError> {
        self.run(String::new(), Duration::ZERO, Some(ending)).await
    }

    /// Once ended, nothing comes out of a chain any more.
    async fn run(
        &mut self,
        text: String,
        waited: Duration,
        last: Option<Ending>,
    ) -> Result<Release, PolicyError> {
        match self.end.clone() {
            Some(End::Stopped(policy)) => {
                return Ok(Release { text: String::new(), stop: Some(policy) });
            }
            Some(End::Failed(error)) => return Err(error),
            None => {}
        }
        let released = self.through(text, waited, last).await;
        self.end = match &released {
            Ok(release) => release.stop.clone().map(End::Stopped),
            Err(error) => Some(End::Failed(error.clone())),
        };
        released
    }

    /// Carries text through every link. After a `stop`, the links behind it finish.
    async fn through(
        &mut self,
        mut text: String,
        waited: Duration,
        mut last: Option<Ending>,
    ) -> Result<Release, PolicyError> {
        let mut stop = None;
        for link in &mut self.links {
            if text.is_empty() && last.is_none() {
                break;
            }
            let (through, stopped) = link.run(text, waited, last).await?;
            text = through;
            last = stopped.as_ref().map(|_| Ending::by_policy()).or(last);
            stop = stop.or(stopped);
        }
        Ok(Release { text, stop })
    }
}

impl<R: Review> Link<R> {
    /// Pushes `text`, then finishes when it was the `last`.
    async fn run(
        &mut self,
        text: String,
        waited: Duration,
        last: Option<Ending>,
    ) -> Result<(String, Option<PolicyRef>), PolicyError> {
        let mut through = String::new();
        if !text.is_empty() {
            let (released, stopped) = self.step(Step::Push, &text, waited).await?;
            through = released;
            if stopped.is_some() {
                return Ok((through, stopped));
            }
        }
        let Some(ending) = last else { return Ok((through, None)) };
        let (released, stopped) = self.step(Step::Finish(ending), "", Duration::ZERO).await?;
        through.push_str(&released);
        Ok((through, stopped))
    }

    /// One step, and again with another policy when the failure mode says so.
    async fn step(
        &mut self,
        step: Step,
        text: &str,
        waited: Duration,
    ) -> Result<(String, Option<PolicyRef>), PolicyError> {
        self.window.extend(text, waited);
        while let Some(review) = &mut self.review {
            match ask(review, step, &mut self.window).await {
                Ok(done) => return Ok(done),
                Err(failure) => match review.recover(failure) {
                    Next::End(error) => return Err(error),
                    Next::Skip => self.review = None,
                    Next::Ask(other) => self.review = Some(other),
                },
            }
        }
        Ok((self.window.take(), None))
    }
}

async fn ask<R: Review>(
    review: &mut R,
    step: Step,
    window: &mut Window,
) -> Result<(String, Option<PolicyRef>), Failure> {
    let (action, took) = review.step(step, window.text()).await?;
    let last = step.is_last();
    let done = window.apply(action, last, took)?;
    if last || done.stop {
        review.ended();
    }
    Ok((done.text, done.stop.then(|| review.policy().clone())))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::Hook;

    type Shown = Arc<Mutex<Vec<String>>>;

    /// Answers from a list, then `Emit`; records what it was shown.
    struct Script {
        policy: PolicyRef,
        says: VecDeque<Result<Action, Failure>>,
        shown: Shown,
        after: After,
    }

    #[derive(Clone, Copy)]
    enum After {
        End,
        Skip,
        Instead,
    }

    impl Review for Script {
        fn policy(&self) -> &PolicyRef {
            &self.policy
        }

        async fn step(&mut self, step: Step, window: &str) -> Result<(Action, Duration), Failure> {
            let kind = if step == Step::Push { '+' } else { '.' };
            let shown = format!("{}{kind}{window}", self.policy.name);
            self.shown.lock().unwrap().push(shown);
            let said = self.says.pop_front().unwrap_or(Ok(Action::Emit));
            said.map(|action| (action, Duration::ZERO))
        }

        fn ended(&mut self) {
            self.shown.lock().unwrap().push(format!("{}!", self.policy.name));
        }

        fn recover(&mut self, failure: Failure) -> Next<Self> {
            let (policy, hook) = (self.policy.clone(), Hook::Post);
            match self.after {
                After::End => Next::End(PolicyError::Failed { policy, hook, failure }),
                After::Skip => Next::Skip,
                After::Instead => Next::Ask(script("other", &self.shown, vec![])),
            }
        }
    }

    fn script(name: &str, shown: &Shown, says: Vec<Result<Action, Failure>>) -> Script {
        let policy = PolicyRef { name: name.into(), revision: "0".into() };
        Script { policy, says: says.into(), shown: shown.clone(), after: After::End }
    }

    fn replace(text: &str, keep: usize) -> Result<Action, Failure> {
        Ok(Action::Replace { text: text.into(), keep })
    }

    fn boom() -> Result<Action, Failure> {
        Err(Failure::Trap("boom".into()))
    }

    fn chain(scripts: Vec<Script>) -> Chain<Script> {
        Chain::new(scripts, &Limits::default())
    }

    /// Pushes the chunks, finishes, and gives back all that came out.
    async fn all(chain: &mut Chain<Script>, chunks: &[&str]) -> Result<Vec<String>, PolicyError> {
        let mut out = Vec::new();
        for chunk in chunks {
            out.push(chain.push((*chunk).into(), Duration::ZERO).await?.text);
        }
        out.push(chain.finish(Ending::by_policy()).await?.text);
        Ok(out)
    }

    #[tokio::test]
    async fn what_one_lets_through_the_next_is_shown() {
        let shown = Shown::default();
        let a = script("a", &shown, vec![Ok(Action::Hold), replace("XY", 1)]);
        let b = script("b", &shown, vec![Ok(Action::Hold)]);
        let out = all(&mut chain(vec![a, b]), &["12", "34"]).await.unwrap();
        assert_eq!(out, ["", "", "XY4"]);
        let seen = shown.lock().unwrap().clone();
        assert_eq!(seen, ["a+12", "a+1234", "b+XY", "a.4", "a!", "b+XY4", "b.", "b!"]);
    }

    #[tokio::test]
    async fn a_stop_ends_the_reply_and_the_policies_behind_it_finish() {
        let shown = Shown::default();
        let a = script("a", &shown, vec![Ok(Action::Stop("bye".into()))]);
        let b = script("b", &shown, vec![Ok(Action::Hold)]);
        let mut chain = chain(vec![a, b]);
        let release = chain.push("1".into(), Duration::ZERO).await.unwrap();
        assert_eq!((release.text.as_str(), release.stop.unwrap().name.as_str()), ("bye", "a"));
        let later = chain.push("2".into(), Duration::ZERO).await.unwrap();
        assert_eq!((later.text.as_str(), later.stop.is_some()), ("", true));
        assert_eq!(*shown.lock().unwrap(), ["a+1", "a!", "b+bye", "b.bye", "b!"]);
    }

    #[tokio::test]
    async fn after_a_failure_that_ends_the_reply_nothing_comes_out() {
        let shown = Shown::default();
        let a = script("a", &shown, vec![Ok(Action::Hold), boom()]);
        let mut chain = chain(vec![a]);
        assert_eq!(chain.push("1".into(), Duration::ZERO).await.unwrap().text, "");
        let error = chain.push("2".into(), Duration::ZERO).await.unwrap_err();
        assert_eq!(chain.push("3".into(), Duration::ZERO).await.unwrap_err(), error);
        assert_eq!(chain.finish(Ending::by_policy()).await.unwrap_err(), error);
    }

    #[tokio::test]
    async fn a_skipped_policy_lets_held_text_and_the_rest_pass() {
        let shown = Shown::default();
        let mut a = script("a", &shown, vec![Ok(Action::Hold), boom()]);
        a.after = After::Skip;
        let out = all(&mut chain(vec![a]), &["1", "2", "3"]).await.unwrap();
        assert_eq!(out, ["", "12", "3", ""]);
        assert_eq!(*shown.lock().unwrap(), ["a+1", "a+12"]);
    }

    #[tokio::test]
    async fn a_policy_that_steps_in_is_shown_the_held_text() {
        let shown = Shown::default();
        let mut a = script("a", &shown, vec![Ok(Action::Hold), boom()]);
        a.after = After::Instead;
        let out = all(&mut chain(vec![a]), &["1", "2", "3"]).await.unwrap();
        assert_eq!(out, ["", "12", "3", ""]);
        assert_eq!(
            *shown.lock().unwrap(),
            ["a+1", "a+12", "other+12", "other+3", "other.", "other!"]
        );
    }

    #[tokio::test]
    async fn an_action_against_the_rules_is_a_failure() {
        let shown = Shown::default();
        let a = script("a", &shown, vec![replace("", 9)]);
        let error = chain(vec![a]).push("1".into(), Duration::ZERO).await.unwrap_err();
        assert_eq!(error.code(), "policy_invalid_answer");
    }

    #[tokio::test]
    async fn an_empty_reply_is_finished_too() {
        let shown = Shown::default();
        let out = all(&mut chain(vec![script("a", &shown, vec![])]), &[]).await.unwrap();
        assert_eq!(out, [""]);
        assert_eq!(*shown.lock().unwrap(), ["a.", "a!"]);
    }
}
