"""The open benchmark of policies: who pays how much for which rule, against perfect hindsight."""
