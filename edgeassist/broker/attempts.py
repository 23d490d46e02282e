"""What is known of one connection, and how long to wait before the next. Sans-I/O; time is passed in."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_RETRY_S = 0.5
# Two clients with one id throw each other out at every attempt.
TAKEN_OVER_RETRY_S = 10.0
# A connection that lasted this long was a good one.
SETTLED_S = 5.0


@dataclass(slots=True)
class Attempt:
    """One connection, or one failure to make one.

    Attributes:
        reached: There was a connection to send CONNECT over.
        greeted: The broker has answered it, in the version of MQTT that we spoke.
        unsupported: It answered that it does not take that version.
        swallowed: It has answered the other version of MQTT, and not ours.
        accepted: It took us, and has refused no subscription that we need.
        taken_over: It ended the connection because another client connected with our id.
        hung_up: It ended the connection, and may have done so for a message.
        blamed: It ended the connection with a message that was tried alone, and will not be sent again.
        refusal: Why it refused or ended the connection, in words; empty if it said nothing.
    """

    reached: bool = False
    greeted: bool = False
    unsupported: bool = False
    swallowed: bool = False
    accepted: bool = False
    taken_over: bool = False
    hung_up: bool = False
    blamed: bool = False
    refusal: str = ""

    @property
    def version_in_doubt(self) -> bool:
        """Whether it may have failed for the version of MQTT: some brokers hang up on what is newer."""
        return self.unsupported or (self.reached and not self.greeted)

    def brief(self, lasted_s: float) -> bool:
        """Whether it was accepted and ended at once."""
        return self.accepted and lasted_s < SETTLED_S


@dataclass(slots=True)
class Backoff:
    """The pauses between attempts: each twice the last, until a connection has settled.

    Args:
        most_s: The longest pause.
    """

    most_s: float
    _delay_s: float = FIRST_RETRY_S

    def ended(self, attempt: Attempt, lasted_s: float) -> None:
        """Note how a connection ended."""
        settled = attempt.blamed or (attempt.accepted and not attempt.brief(lasted_s))
        self._delay_s = FIRST_RETRY_S if settled else self._delay_s * 2
        self._delay_s = max(self._delay_s, TAKEN_OVER_RETRY_S if attempt.taken_over else 0)
        self._delay_s = min(self._delay_s, self.most_s)

    def pause_s(self, share: float) -> float:
        """Return the time until the next attempt; a random `share` of 0 to 1 spreads many clients' load."""
        return (1 + share) / 2 * self._delay_s
