import pytest

from counterfoil.audit.options import AuditOptions, options_of
from counterfoil.core.errors import UserError

NODE = {"_target_": "counterfoil.audit.options.AuditOptions"}


def test_it_is_on_off_or_tuned():
    assert options_of(True) == options_of(NODE) == AuditOptions()
    assert options_of(False) is None
    assert options_of(None) is None
    assert options_of({**NODE, "regions": 4}).regions == 4


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (5, "audit=5: expected false, or an option of it"),
        ({**NODE, "region": 4}, "option audit.region does not exist; did you mean regions?"),
        ({**NODE, "regions": 0}, "audit.regions=0: expected a whole number of at least 1 and at most 20"),
    ],
)
def test_what_it_does_not_take(node, told):
    with pytest.raises(UserError) as refusal:
        options_of(node)
    assert told in str(refusal.value)
