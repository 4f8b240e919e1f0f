//! Changes of what a call asks for beyond words, checked as they come.

use serde_json::{Map, Value};

use crate::{Failure, Parameters, ResponseFormat, ToolChoice};

/// Texts that a reply may have to end before.
const STOPS: usize = 16;
/// Bytes of one of them.
const STOP_BYTES: usize = 1024;

impl Parameters {
    /// Leaves only the tools of these names.
    pub(crate) fn keep_tools(&mut self, names: &[String]) -> Result<(), Failure> {
        if let Some(strange) = names.iter().find(|name| !self.offers(name)) {
            return Err(Failure::Invalid(format!(
                "it keeps the tool '{strange}', which is not there"
            )));
        }
        let kept = self.tools.iter().filter(|tool| names.contains(&tool.name));
        self.tools = kept.cloned().collect();
        Ok(())
    }

    pub(crate) fn set_response_format(&mut self, format: ResponseFormat) -> Result<(), Failure> {
        match &format {
            ResponseFormat::JsonSchema(schema)
                if serde_json::from_str::<Map<String, Value>>(schema).is_err() =>
            {
                return Err(Failure::Invalid("its schema is not a JSON object".into()));
            }
            ResponseFormat::Other(name) => {
                let message = format!("the response format '{name}' can't be set by policies");
                return Err(Failure::Invalid(message));
            }
            _ => self.response_format = format,
        }
        Ok(())
    }

    pub(crate) fn set_top_p(&mut self, top_p: f32) -> Result<(), Failure> {
        if !(top_p > 0.0 && top_p <= 1.0) {
            let message = format!("top-p must be above 0 and at most 1 and is {top_p}");
            return Err(Failure::Invalid(message));
        }
        self.top_p = Some(top_p);
        Ok(())
    }

    pub(crate) fn set_stop(&mut self, stop: Vec<String>) -> Result<(), Failure> {
        if stop.len() > STOPS {
            let message =
                format!("it sets {} texts to end before, and {STOPS} are taken", stop.len());
            return Err(Failure::Invalid(message));
        }
        if stop.iter().any(String::is_empty) {
            return Err(Failure::Invalid("a text to end before is empty".into()));
        }
        if stop.iter().any(|text| text.len() > STOP_BYTES) {
            return Err(Failure::OutputTooLarge { limit_bytes: STOP_BYTES as u64 });
        }
        self.stop = stop;
        Ok(())
    }

    /// Refuses a choice of tools that are not there.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match &self.tool_choice {
            ToolChoice::Required if self.tools.is_empty() => {
                Err(Failure::Invalid("a tool has to be called, and there is none".into()))
            }
            ToolChoice::Tool(name) if !self.offers(name) => Err(Failure::Invalid(format!(
                "the tool '{name}' has to be called, which is not there"
            ))),
            _ => Ok(()),
        }
    }

    fn offers(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tool;

    fn offering(names: &[&str]) -> Parameters {
        let tool = |name: &&str| Tool {
            name: (*name).to_owned(),
            description: String::new(),
            parameters: "{}".to_owned(),
        };
        Parameters { tools: names.iter().map(tool).collect(), ..Parameters::default() }
    }

    #[test]
    fn tools_are_taken_away_and_never_made_up() {
        let mut parameters = offering(&["read", "write", "delete"]);
        let strange = parameters.keep_tools(&["read".into(), "format".into()]).unwrap_err();
        assert!(
            strange.to_string().ends_with("the tool 'format', which is not there"),
            "{strange}"
        );
        parameters.keep_tools(&["write".into(), "read".into()]).unwrap();
        let names: Vec<_> = parameters.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["read", "write"], "the client's order stays");
    }

    #[test]
    fn a_choice_needs_its_tools() {
        let check = |tools: &[&str], tool_choice, expect| {
            let parameters = Parameters { tool_choice, ..offering(tools) };
            assert_eq!(parameters.check().is_ok(), expect);
        };
        check(&[], ToolChoice::Auto, true);
        check(&[], ToolChoice::Required, false);
        check(&["read"], ToolChoice::Required, true);
        check(&["read"], ToolChoice::Tool("read".into()), true);
        check(&["read"], ToolChoice::Tool("write".into()), false);
    }

    #[test]
    fn what_nobody_could_follow_is_refused() {
        let mut parameters = Parameters::default();
        let schema = |text: &str| ResponseFormat::JsonSchema(text.to_owned());
        assert!(parameters.set_response_format(schema("[]")).is_err());
        assert!(parameters.set_response_format(ResponseFormat::Other("regex".into())).is_err());
        parameters.set_response_format(schema(r#"{"type": "object"}"#)).unwrap();
        assert!(parameters.set_top_p(0.0).is_err() && parameters.set_top_p(f32::NAN).is_err());
        parameters.set_top_p(1.0).unwrap();
        assert!(parameters.set_stop(vec![String::new()]).is_err());
        assert!(parameters.set_stop(vec!["x".into(); STOPS + 1]).is_err());
        assert!(parameters.set_stop(vec!["x".repeat(STOP_BYTES + 1)]).is_err());
        parameters.set_stop(vec!["END".into()]).unwrap();
        assert_eq!(parameters.stop, ["END"]);
    }
}
