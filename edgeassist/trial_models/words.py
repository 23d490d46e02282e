"""The words that trial vocabularies and the bench's prompts are made of. Needs no package."""

WORDS = """
a about across after again air all along also always an and another answer any apple are around arrow as at
away back barn basket be because bed before behind bell below beside best better between big bird blue boat
book both bottle bread bridge bright bring brother brown build but butter by cabin can candle carry cat child
city clean clear climb cloud coat cold come corner country cup dark daughter day deep did do dog door down
dream drink each early earth east easy egg evening every eye face family far farm father feather field find
fire first fish flower fly follow for forest found friend from full garden gave gentle girl glass go gold good
grass gray great green ground had half hand happy harbor has he hear heart her here high hill his home honey
horse house how if in into is island it just keep kettle kind know lake lamp large last laugh leaf learn left
letter light like linen little long look lost made man many map may me meadow milk mirror moon more morning
mother mountain much music must my name near never new night no north not now of old on one open or our out
over paper path piece quiet rain red river road round said sail salt same sea see seed shadow she ship silver
sin sing sky sleep slow small snow so some song sound south spring star stone story summer sun table that the
their them then there these they this tree two under up valley very village voice wait walk wall war warm was
water we were west what when where while white who will wind window winter with wood word would yellow yes you
young your
""".split()  # noqa: SIM905 -- a list literal takes a line for every word
