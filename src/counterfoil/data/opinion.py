"""Words of opinion, by which a sentence of a review is likely to tell what the review says as a whole."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRAISE = _words(
    """
    adorable amazing appreciated awesome beautiful beautifully beauty breathtaking brilliant
    brilliantly captivating charming chilling complex delight delightful delivers enjoyable enjoyed
    excellent exceptional extraordinary fabulous fantastic fascinating favorite favorites favourite
    finest flawless fresh funniest gem genius gorgeous great greatest gripping haunting incredible
    inspiring intense joy kudos legendary lovable loved lovely magnificent marvelous masterpiece
    moving nicely outstanding perfect perfection perfectly pleasantly poignant powerful rare
    recommended refreshing remarkable satisfying shines solid spectacular strong stunning subtle
    superb superior surprising sweet terrific thoughtful touched touching tragic treat tremendous
    underrated unexpected unique winner witty wonderful wonderfully
    """
)
BLAME = _words(
    """
    absurd amateurish annoyed annoying appalling ashamed atrocious avoid awful bad badly bland bore
    bored boredom boring cheap cliché clichéd clichés contrived crap crappy disappointing
    disappointment disaster disgusting dreadful dreck drivel dull dumb embarrassing empty endless
    failed fails failure fake flat flop forgettable garbage horrendous horrible horribly horrid
    idiotic illogical incoherent inept insult irritating joke junk lame laughable lazy lousy
    ludicrous mediocre mess mindless miscast mistake nasty nonsense obnoxious offensive painful
    painfully pathetic pointless poor poorly predictable pretentious promising redeeming remotely
    ridiculous rubbish ruined silly stinker stinks stupid stupidity suck sucked sucks tedious
    terrible terribly trash trite ugly unbearable unbelievable unconvincing unfunny uninspired
    uninteresting unrealistic unwatchable waste wasted weak whatsoever wooden worse worst worthless
    """
)
OPINION = PRAISE | BLAME
"""Words of praise or blame, by our reading, that stand in at least 30 short sentences of the training split,
of which at least 70 % share the label. Counted there alone."""
