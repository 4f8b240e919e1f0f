//! What an operator may want to happen when a policy fails.

/// What happens to a call when a policy fails in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// The call ends with the failure.
    Refuse,
    /// The call goes on as if the policy were not there. A router that is skipped leaves the choice
    /// to the host's own default. A call that another hook could not be shown for want of room or
    /// time of the host's ends all the same.
    Skip,
    /// For routers: the host's own default chooses. For other hooks the same as [`Self::Skip`].
    Native,
    /// The same hook of the named policy is asked instead; when that fails too, the call ends.
    Policy(String),
}
